'use strict';
/**
 * Stands in for apps/engine where the jobs are measured and not the pictures: speaks its messages, and tells each step of
 * a grey picture at once. The device of SD_SICK_DEVICE is sick as the word in the file SD_SICK_FILE says: it does not
 * load, has no memory, dies in each picture, or gets no answer.
 */
const { readFileSync } = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

/** @typedef {import('../../libs/pipeline/engine.protocol').EngineCommand} EngineCommand */
/** @typedef {import('../../libs/pipeline/engine.protocol').EngineEvent} EngineEvent */

/** @type {(event: EngineEvent) => void} */
const say = (event) => void process.send?.(event);

const gpu = process.env.CUDA_VISIBLE_DEVICES;
const device = { name: gpu ? `CUDA${gpu}` : 'CPU', gpu: gpu !== undefined, description: 'stand-in' };
const settings = { flashAttention: false, vaeDirectConvolution: false, unetDirectConvolution: false };
const timings = { text: 0, image: 0, sampling: 0, decode: 0, engine: 0 };

/** @returns {string} '' in good health */
const sickness = () => {
  const { SD_SICK_DEVICE, SD_SICK_FILE } = process.env;
  return SD_SICK_FILE && SD_SICK_DEVICE === gpu ? readFileSync(SD_SICK_FILE, 'utf8') : '';
};

/** @param {EngineCommand & { type: 'open' }} command */
function open({ heartbeat }) {
  const version = { source: 'prebuilt cpu', commit: '', version: 'stand-in', system: '' };
  say({ type: 'opened', version, devices: [device], backEnds: [] });
  say({ type: 'chosen', device });
  setInterval(() => say({ type: 'alive' }), heartbeat);
}

function load() {
  if (sickness() === 'load') say({ type: 'failed', code: 'load_failed', message: 'The weights do not load' });
  else if (sickness() !== 'silence') say({ type: 'loaded', info: { settings, hasIpAdapter: false } });
}

/** @param {EngineCommand & { type: 'generate' }} command */
async function draw({ id, options: { width, height, steps } }) {
  if (sickness() === 'memory') {
    say({ type: 'failed', id, code: 'out_of_memory', message: 'The engine gave up: no memory' });
    return;
  }
  say({ type: 'progress', id, progress: { phase: 'text', step: 0, steps } });
  for (let step = 0; step <= steps; step++) {
    say({ type: 'progress', id, progress: { phase: 'sampling', step, steps } });
    if (sickness() === 'pictures' && step === 1) setTimeout(() => process.abort(), 20);
  }
  const { signal } = (cancelling = new AbortController());
  await sleep(Number(process.env.SD_PICTURE_MS ?? 0), undefined, { signal }).catch(() => {});
  if (signal.aborted) {
    say({ type: 'failed', id, code: 'cancelled', message: 'The picture was cancelled' });
    return;
  }
  say({ type: 'progress', id, progress: { phase: 'decoding', step: steps, steps } });
  say({ type: 'drawn', id });
  const pixels = Buffer.alloc(width * height * 3, 128);
  say({
    type: 'generated',
    id,
    picture: { pixels, width, height, loras: [], timings, decodedInTiles: false, textChunks: [1, 1] },
  });
}

/** Of the picture that is drawn. */
let cancelling = new AbortController();

process.on('message', (message) => {
  const command = /** @type {EngineCommand} */ (message);
  if (command.type === 'open') open(command);
  else if (command.type === 'load') load();
  else if (command.type === 'generate') void draw(command);
  else if (command.type === 'cancel') cancelling.abort();
});
process.on('disconnect', () => process.exit());
