/**
 * Part 2 of bench:gpu: the same card through the whole service. What a picture costs beside the engine, and how long the
 * service is without an engine when that is killed in a picture.
 */
import { appendFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../support/arguments.mjs';
import { benchmark, temporaryFolder } from '../support/benchmark.mjs';
import { engineTime, health, startService } from '../support/service.mjs';
import { quantile } from '../support/statistics.mjs';
import { cardOf, cards, watchMemory } from './card.mjs';
import { makeWeights } from '../weights/weights.mjs';

/** @typedef {import('../support/service.mjs').Service} Service */

/** The first start on a card compiles the engine's kernels for it. */
const LOAD_MINUTES = 20;
const PROMPT = 'a lighthouse on a cliff, watercolour';

const options = readArguments('SDXL with random weights through the whole service.', {
  device: { about: 'as in ENGINE_DEVICES, such as CUDA0 or CPU; else the first GPU', default: '' },
  pictures: { about: 'pictures, one after the other', default: 5 },
  engines: { about: 'engine processes on the one device', default: 1 },
  steps: { about: 'their sampling steps', default: 30 },
  size: { about: 'their side in pixels', default: 1024 },
  out: { about: 'a folder for the results', default: 'gpu-results' },
  weights: { about: 'a folder for 11 GB, which stays; else a temporary one', default: '' },
  channels: { about: "the UNet's model_channels, a multiple of 32; 320 is SDXL", default: 320 },
  seed: { about: 'of the weights', default: 1 },
  sparse: { about: 'holes as weights: flat pictures, for stand-ins of devices only', default: false },
});

/** @param {Record<string, unknown>} record */
async function tell(record) {
  await appendFile(join(options.out, 'service.jsonl'), `${JSON.stringify(record)}\n`);
}

await benchmark(async () => {
  const { size, steps, pictures, device } = options;
  await mkdir(options.out, { recursive: true });
  const weights = await makeWeights(resolve(options.weights || (await temporaryFolder())), options);
  const addon = /** @type {import('../../native/index.js')} */ (
    createRequire(import.meta.url)('../../native/index.js')
  );
  const known = addon.devices();
  const chosen = known.find(({ name, gpu }) => (device ? name.toLowerCase() === device.toLowerCase() : gpu));
  if (!chosen) {
    console.error(`No GPU to measure: the engine finds ${known.map(({ name }) => name).join(', ')}.`);
    return 2;
  }
  const card = cardOf(chosen, await cards(), process.env.CUDA_VISIBLE_DEVICES);
  const memory = await watchMemory(card);

  const loading = performance.now();
  const variables = {
    MODEL_FILE: weights.model,
    VAE_PATH: weights.vae,
    IP_ADAPTER_PATH: weights.ipAdapter,
    CLIP_VISION_PATH: weights.clipVision,
    REQUIRE_GPU: String(chosen.gpu),
    ENGINE_DEVICES: Array(options.engines).fill(chosen.name).join(','),
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
  };
  const service = await startService(variables, { minutes: LOAD_MINUTES });
  const ready = performance.now() - loading;
  const facts = await health(service);
  console.log(`${facts.device}: ${facts.description}${card ? `, driver ${card.driver}` : ''}`);
  console.log(`Engines ${JSON.stringify(facts.engines)}, ready after ${seconds(ready)} s`);
  await tell({ kind: 'about', options, card, facts, readyMs: ready });

  const [wall, own] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  for (let i = 1; i <= pictures; i++) {
    const picture = await service.draw('generations', request(i));
    wall.push(picture.wall);
    own.push(engineTime(picture.timings));
    console.log(
      `Picture ${i}: ${seconds(picture.wall)} s, of these ${seconds(own[i - 1])} s in the engine ` +
        JSON.stringify(picture.timings),
    );
    await tell({ kind: 'picture', wallMs: picture.wall, timings: picture.timings });
  }
  const beside = quantile(
    wall.map((ms, i) => ms - own[i]),
    0.5,
  );
  console.log(
    `\n${size}x${size}, ${steps} steps, median: ${seconds(quantile(wall, 0.5))} s a picture, ` +
      `${seconds(quantile(own, 0.5))} s in the engine, ${beside.toFixed(0)} ms beside it`,
  );
  const together = 4 * options.engines;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: together }, (_, i) => service.draw('generations', request(100 + i))),
  );
  const all = performance.now() - began;
  console.log(
    `${together} at once, ${options.engines} engines: ${((together / all) * 60_000).toFixed(1)} pictures a minute`,
  );
  await tell({ kind: 'together', pictures: together, engines: options.engines, wallMs: all });
  const most = await memory.most();
  console.log(`VRAM: ${most === undefined ? 'n/a' : `${most} MiB at most, above what was in use before`}`);

  const killed = await kill(service);
  console.log(
    `kill -9 in a picture: ready again after ${seconds(killed.readyMs)} s, its job ${killed.state} ` +
      `after ${seconds(killed.doneMs)} s in ${killed.attempts} attempts`,
  );
  await tell({ kind: 'end', vramMib: most, besideMs: beside, killed });
  return 0;
});

/** @param {number} seed */
function request(seed) {
  const { size, steps } = options;
  return { prompt: PROMPT, size: `${size}x${size}`, num_inference_steps: steps, seed };
}

/** Ends the engine once it samples; waits for the next one, and for the job. @param {Service} service */
async function kill(service) {
  const pid = service.enginePid();
  if (!pid) throw new Error('Expected an engine process');
  const id = await service.submit('generations', request(99));
  let job = await service.job(id);
  while (job.progress?.phase !== 'sampling') {
    if (job.state === 'succeeded')
      throw new Error('The picture was done before it could be killed: more --steps');
    await sleep(5);
    job = await service.job(id);
  }
  process.kill(pid, 'SIGKILL');
  const died = performance.now();
  const since = () => performance.now() - died;
  const next = async () => {
    const now = service.enginePid();
    return now !== undefined && now !== pid && (await health(service)).status === 'up';
  };
  while (!(await next())) {
    if (since() > LOAD_MINUTES * 60_000) throw new Error('No engine came back');
    await sleep(20);
  }
  const readyMs = since();
  while (!['succeeded', 'failed', 'cancelled'].includes((job = await service.job(id)).state)) await sleep(20);
  return { readyMs, doneMs: since(), state: job.state, attempts: job.attempts };
}

/** @param {number} milliseconds */
function seconds(milliseconds) {
  return (milliseconds / 1000).toFixed(2);
}
