/**
 * Two models behind one engine: every picture comes from the model that it names, models change seldom, and no job starves
 * behind jobs of the other model. The second model is made of the demo's.
 */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { randomNumbers } from '../bench/weights/random.numbers.mjs';
import { writeSecondModel } from '../test/support/second.model.js';

const MOST_SWITCHES = 8;
const SEEDS = 4;
/** Quick to load; and a file's bytes tell its pixels alone. */
const SETTINGS = {
  ...{ ...DEMO, TEXT_ENCODER_TYPE: 'native', DEFAULT_SIZE: '64x64', EMBED_PARAMETERS: 'false' },
  ENABLE_IP_ADAPTER: 'false',
};
/** Seconds that another model may wait while one is busy, in the second part. */
const PATIENCE = 5;

const { jobs, after, seed } = readArguments('Two models and one engine.', {
  jobs: { about: 'of both models, at once', default: 40 },
  after: { about: 'MODEL_SWITCH_AFTER; 0 changes the model for each job that waits', default: 60 },
  seed: { about: 'of the order of the models', default: 1 },
});

/** @typedef {import('../bench/support/service.mjs').Service} Service */

await benchmark(async () => {
  const folder = await temporaryFolder();
  const second = join(folder, 'second.safetensors');
  const first = await alone({});
  // Unpacked by that service.
  writeSecondModel(join(DEMO.DEMO_CACHE, 'demo.safetensors'), second);
  const file = join(folder, 'models.yaml');
  await writeFile(file, `first: { MODEL_PATH: demo }\nsecond: { MODEL_PATH: ${second} }\n`);

  const pictures = { first, second: await alone({ MODEL_PATH: second }) };
  if (pictures.first.some((picture) => pictures.second.includes(picture)))
    throw new Error('The two models draw alike');
  const mixed = await mix(file, pictures);
  const patient = await starve(file);
  return verdict(`all from their models, switches <= ${MOST_SWITCHES}, waits <= bounds`, mixed && patient);
});

/** @param {number} n */
function request(n) {
  return {
    prompt: 'a fox on a blue background',
    size: '64x64',
    num_inference_steps: 4,
    guidance_scale: 1,
    seed: n,
  };
}

/**
 * `asked`, `start` and `end` in milliseconds of one clock.
 *
 * @param {Service} service
 * @param {Record<string, unknown>} options
 */
async function draw(service, options) {
  const asked = performance.now();
  const picture = await service.draw('generations', options);
  const { queue_ms, total_ms } = picture.timings;
  const hash = createHash('sha256')
    .update(await service.png(picture))
    .digest('hex');
  const times = { asked, start: asked + queue_ms, end: asked + total_ms };
  return { hash, ...times, wait: queue_ms / 1000, job: (total_ms - queue_ms) / 1000 };
}

/**
 * What a service draws that has one model.
 *
 * @param {Record<string, string>} variables
 */
async function alone(variables) {
  const service = await startService({ ...SETTINGS, ...variables });
  const hashes = [];
  for (let n = 0; n < SEEDS; n++) hashes.push((await draw(service, request(n))).hash);
  await service.stop();
  return hashes;
}

/**
 * @param {string} file
 * @param {Record<'first' | 'second', string[]>} pictures
 */
async function mix(file, pictures) {
  const service = await startService({ ...SETTINGS, MODELS_FILE: file, MODEL_SWITCH_AFTER: String(after) });
  await draw(service, request(0)); // by when the other model is known, too
  const random = randomNumbers(seed);
  let firsts = 0;
  const drawn = await Promise.all(
    Array.from({ length: jobs }, async () => {
      const model = random() < 0.5 ? 'first' : 'second';
      if (model === 'first') firsts++;
      const n = Math.floor(random() * SEEDS);
      const { hash, ...times } = await draw(service, { ...request(n), model });
      return { model, right: hash === pictures[model][n], ...times };
    }),
  );
  const switches = await switchesOf(service);
  await service.stop();
  const wrong = drawn.filter(({ right }) => !right).length;
  const wait = Math.max(...drawn.map((one) => one.wait));
  const behind = longestBehind(drawn);
  const job = Math.max(...drawn.map((one) => one.job));
  console.log(
    `${jobs} jobs at once, ${firsts} of the first model: ${wrong} from the wrong one, ${switches} switches; ` +
      `longest wait ${wait.toFixed(1)} s, of that at a stretch behind the other model ${behind.toFixed(1)} s; ` +
      `longest job ${job.toFixed(1)} s, MODEL_SWITCH_AFTER ${after} s`,
  );
  // Where a model's own jobs take longer than that, the last of them waits longer, as with one model.
  return wrong === 0 && switches <= MOST_SWITCHES && behind <= after + job;
}

/**
 * Seconds that a job waited while one picture of the other model after the other was drawn.
 *
 * @param {{ model: string, asked: number, start: number, end: number }[]} drawn
 */
function longestBehind(drawn) {
  /** @type {{ model: string, start: number, end: number }[]} */
  const runs = [];
  for (const { model, start, end } of [...drawn].sort((a, b) => a.start - b.start)) {
    const last = runs.at(-1);
    if (last?.model === model) last.end = end;
    else runs.push({ model, start, end });
  }
  const waits = drawn.flatMap((job) =>
    runs
      .filter((run) => run.model !== job.model)
      .map((run) => Math.min(run.end, job.start) - Math.max(run.start, job.asked)),
  );
  return Math.max(0, ...waits) / 1000;
}

/**
 * The first model always has jobs that wait; the second gets one.
 *
 * @param {string} file
 */
async function starve(file) {
  let began = () => {};
  const loading = /** @type {Promise<void>} */ (new Promise((resolve) => (began = resolve)));
  const service = await startService(
    { ...SETTINGS, MODELS_FILE: file, MODEL_SWITCH_AFTER: String(PATIENCE) },
    // Loading it is not waiting behind the other one.
    { onLine: (line) => line.includes('Loading second') && began() },
  );
  let busy = true;
  let job = 0;
  const keepBusy = async () => {
    while (busy) job = Math.max(job, (await draw(service, request(0))).job);
  };
  await draw(service, request(0)); // by when the other model is known, too
  const load = [keepBusy(), keepBusy(), keepBusy()];
  await sleep(1_000);
  const asked = performance.now();
  const other = draw(service, { ...request(1), model: 'second' });
  await loading;
  const until = (performance.now() - asked) / 1000;
  busy = false;
  const { wait } = await other;
  await Promise.all(load);
  await service.stop();
  console.log(
    `One job behind a model that is always busy: ${until.toFixed(1)} s until its model began to load, ${wait.toFixed(1)} s ` +
      `with the loading; MODEL_SWITCH_AFTER ${PATIENCE} s, longest job ${job.toFixed(1)} s`,
  );
  return until >= PATIENCE && until <= PATIENCE + job + 1;
}

/** @param {Service} service */
async function switchesOf(service) {
  const { body } = await service.get('/metrics');
  return Number(/^image_model_switches_total (\d+)/m.exec(body.toString())?.[1]);
}
