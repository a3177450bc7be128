'use strict';
/**
 * Stands in for apps/engine in specs about processes: speaks its messages and draws nothing. What it does with a
 * picture is the picture's prompt; what it was started with is told as its device.
 */
/** @typedef {import('../../libs/pipeline/engine.protocol').EngineCommand} EngineCommand */
/** @typedef {import('../../libs/pipeline/engine.protocol').EngineEvent} EngineEvent */
/** @typedef {{ next?: () => void, cancel?: () => void, previews?: boolean }} Drawing */

/** @type {(event: EngineEvent) => void} */
const say = (event) => void process.send?.(event);
/** @type {Map<number, Drawing>} */
const drawings = new Map();

const picture = { pixels: Buffer.from([1, 2, 3]), width: 1, height: 1, loras: [], textChunks: [] };
const timings = { text: 1, image: 0, sampling: 2, decode: 3, engine: 6 };
/** @type {(id: number, decodedInTiles?: boolean) => void} */
const give = (id, decodedInTiles = false) =>
  say({ type: 'generated', id, picture: { ...picture, timings, decodedInTiles } });

/**
 * The fifth GPU draws pictures of up to 500x500, the ninth of up to 900x900.
 *
 * @param {number} gpu
 */
const planOf = (gpu) =>
  gpu >= 5
    ? { offloadEncoders: false, whole: (gpu * 100) ** 2, inTiles: (gpu * 100) ** 2, sentence: '' }
    : undefined;

/** @type {string | undefined} */
let wanted;
/** @type {Record<string, unknown> & { lacked?: string[] }} */
let told = {};
/** Another program has the memory of the fourth GPU: so many times what is larger than 500x500 does not fit. */
let shortages = 2;

const gpu = process.env.CUDA_VISIBLE_DEVICES;
const device = {
  ...{ name: gpu ? `CUDA${gpu}` : 'CPU', gpu: gpu !== undefined },
  description: JSON.stringify({ pid: process.pid }),
};

/** @param {EngineCommand & { type: 'open' }} command */
function open(command) {
  const version = { source: 'prebuilt cpu', commit: '2bb7294', version: 'master-898-2bb7294', system: '' };
  say({ type: 'opened', version, devices: [{ name: 'CPU', description: '', gpu: false }], backEnds: [] });
  wanted = command.device;
  if (wanted === 'absent') return say({ type: 'failed', code: 'load_failed', message: 'No device "absent"' });
  say({ type: 'chosen', device });
}

/** @param {Record<string, unknown>} news */
function tell(news) {
  told = { ...told, ...news };
  say({ type: 'chosen', device: { ...device, description: JSON.stringify(told) } });
}

/** @param {EngineCommand & { type: 'load' }} command */
function load({ options, sharers }) {
  if (options.model === 'broken' || wanted === 'sick')
    return say({ type: 'failed', code: 'load_failed', message: 'It is broken' });
  const { CUDA_DEVICE_ORDER: order } = process.env;
  tell({ pid: process.pid, sharers, threads: options.threads, order, wanted });
  const settings = { flashAttention: device.gpu, vaeDirectConvolution: false, unetDirectConvolution: false };
  say({ type: 'loaded', info: { settings, hasIpAdapter: false, plan: planOf(Number(gpu)) } });
}

/** @typedef {import('../../libs/pipeline/engine.protocol').GenerateOptions} GenerateOptions */
/** @type {Record<string, (id: number, options: Partial<GenerateOptions>) => void>} */
const PROMPTS = {
  // The service's own.
  probe(id, options) {
    tell({ probed: `${options.width}x${options.height}` });
    PROMPTS.draw(id, options);
  },
  draw(id, { vaeTiling }) {
    say({ type: 'drawn', id });
    give(id, vaeTiling);
  },
  // The engine itself decodes in tiles what it has no memory for at once.
  tiled(id) {
    PROMPTS.draw(id, { vaeTiling: true });
  },
  // Its pixels are under way until the next picture is asked for.
  late(id) {
    say({ type: 'drawn', id });
    drawings.set(id, { next: () => give(id) });
  },
  die() {
    for (let i = 1; i <= 30; i++) process.stderr.write(`line ${i}\n`);
    process.exit(3);
  },
  'step and die'(id) {
    say({ type: 'progress', id, progress: { phase: 'sampling', step: 1, steps: 1 } });
    setTimeout(() => process.exit(3), 50);
  },
  // Alive, and it never answers.
  hang() {},
  fail(id) {
    say({ type: 'failed', id, code: 'flat_picture', message: 'The picture is flat' });
  },
  // Lacks memory once the last step is done: says so,
  hungry(id, { vaeTiling }) {
    if (vaeTiling) return PROMPTS.draw(id, { vaeTiling });
    say({ type: 'progress', id, progress: { phase: 'decoding', step: 1, steps: 1 } });
    say({ type: 'failed', id, code: 'out_of_memory', message: 'The engine gave up: no memory' });
  },
  // or dies of it.
  starving(id, { vaeTiling }) {
    if (vaeTiling) return PROMPTS.draw(id, { vaeTiling });
    say({ type: 'progress', id, progress: { phase: 'sampling', step: 1, steps: 1 } });
    process.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'\n");
    process.exit(134);
  },
  // Lacks memory before that: dies, with a trace of its stack as its last words,
  starved() {
    process.stderr.write('out of memory: CUDA error: out of memory\n');
    for (let i = 1; i <= 30; i++) process.stderr.write(`frame ${i}\n`);
    process.exit(134);
  },
  // or says so; its two pipes are not read in the order in which they were written.
  exhausted(id) {
    process.stderr.write('out of memory: failed to allocate\n');
    /** @type {EngineEvent} */
    const answer = { type: 'failed', id, code: 'out_of_memory', message: 'The engine gave up: no memory' };
    setTimeout(() => say(answer), 50);
  },
  // Step after step until it is cancelled.
  steps(id) {
    let step = 0;
    /** @type {Drawing} */
    const drawing = { previews: false };
    const timer = setInterval(() => {
      const progress = /** @type {const} */ ({ phase: 'sampling', step: ++step, steps: 150 });
      const preview = { pixels: Buffer.alloc(3), width: 1, height: 1 };
      if (drawing.previews) say({ type: 'progress', id, progress: { ...progress, preview } });
      say({ type: 'progress', id, progress });
    }, 5);
    drawing.cancel = () => {
      clearInterval(timer);
      say({ type: 'failed', id, code: 'cancelled', message: 'The generation was cancelled' });
    };
    drawings.set(id, drawing);
  },
};

process.on('message', (message) => {
  const command = /** @type {EngineCommand} */ (message);
  if (command.type === 'open') return open(command);
  if (command.type === 'load') return load(command);
  const drawing = drawings.get(command.id);
  if (command.type === 'cancel') drawing?.cancel?.();
  if (command.type === 'previews' && drawing) drawing.previews = command.on;
  if (command.type !== 'generate') return;
  for (const { next } of drawings.values()) next?.();
  const { width, height } = command.options;
  if (gpu === '4' && width * height > 500 ** 2 && shortages-- > 0) {
    tell({ lacked: [...(told.lacked ?? []), `${command.options.prompt} ${width}x${height}`] });
    const message = 'The engine gave up: no memory';
    return say({ type: 'failed', id: command.id, code: 'out_of_memory', message });
  }
  say({ type: 'progress', id: command.id, progress: { phase: 'text', step: 0, steps: 1 } });
  PROMPTS[command.options.prompt](command.id, command.options);
});
process.on('disconnect', () => process.exit());
