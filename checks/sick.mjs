/**
 * Two devices of which one is sick, in each way that was seen: what becomes of the jobs, what readiness says of it, and
 * whether it draws again once it is well. The engines are stand-ins; all else is the service.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';

const PRELOAD = join(import.meta.dirname, '../bench/support/quick.engine.preload.cjs');
/** The second of the two. */
const SICK = 1;
/** Milliseconds of a picture, and for all of them to end. */
const PICTURE_MS = '40';
const PATIENCE = 120_000;
/** How long a load may take; its bound in the service ends one that never does. */
const LOAD_SECONDS = '20';
/** How long a device may take to be back once it is well: its pauses go up to a minute. */
const RECOVERY = 90_000;

/** @type {Record<string, string>} */
const SICKNESSES = {
  load: 'the weights do not load',
  memory: 'each picture lacks memory, at once',
  pictures: 'the process dies in each picture, not in the warm-up',
  silence: 'the load never ends',
};

const { jobs, only } = readArguments('Two engines of which one is sick, under load.', {
  jobs: { about: 'jobs for each sickness', default: 120 },
  only: { about: `one of ${Object.keys(SICKNESSES).join(', ')}`, default: '' },
});

await benchmark(async () => {
  let well = true;
  for (const name of only ? [only] : Object.keys(SICKNESSES)) well = (await suffer(name)) && well;
  return verdict('0 lost, 0 failed; the sick engine is out of service, and back once it is well', well);
});

/**
 * @param {string} name
 * @returns {Promise<boolean>} all went as it should
 */
async function suffer(name) {
  const folder = await temporaryFolder();
  const file = join(folder, 'sickness');
  await writeFile(file, name);
  const nodeArguments = ['--require', PRELOAD];
  const sick = { SD_SICK_DEVICE: String(SICK), SD_SICK_FILE: file, SD_PICTURE_MS: PICTURE_MS };
  const service = await startService(
    { ...DEMO, PHASE_TIMEOUT: LOAD_SECONDS, ENGINE_DEVICES: `0,${SICK}`, ...sick },
    { folder, nodeArguments },
  );
  const began = performance.now();
  /** @type {string[]} */
  const ids = [];
  const loras = [{ name: 'night' }];
  for (let n = 0; n < jobs; n++) {
    const options = {
      prompt: 'a fox',
      size: '256x256',
      num_inference_steps: 4,
      ...(n % 3 === 0 && { loras }),
    };
    ids.push(await service.submit('generations', options));
  }
  const states = await ended(service, ids);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const during = await engineOf(service);
  await writeFile(file, '');
  const back = await recovered(service);

  console.log(`\n${name}: ${SICKNESSES[name]}`);
  console.log(
    `  ${jobs} jobs in ${seconds} s: ${[...states].map(([state, n]) => `${n} ${state}`).join(', ')}`,
  );
  console.log(`  readiness of the sick one: ${during.state}${during.reason ? `, "${during.reason}"` : ''}`);
  console.log(
    `  once well: ${back === undefined ? 'NOT BACK' : `ready after ${(back / 1000).toFixed(1)} s`}`,
  );
  // One that draws smaller pictures yet stays ready, and says what it is kept from.
  const out = !['ready', 'busy'].includes(during.state) || during.reason !== undefined;
  return states.get('succeeded') === jobs && out && back !== undefined;
}

/**
 * How the jobs ended, with the code of the error, and how many did not.
 *
 * @param {import('../bench/support/service.mjs').Service} service
 * @param {readonly string[]} ids
 */
async function ended(service, ids) {
  /** @type {Map<string, number>} */
  const states = new Map();
  const until = performance.now() + PATIENCE;
  for (const id of ids) {
    let job = await service.job(id);
    while (['queued', 'running'].includes(job.state) && performance.now() < until) {
      await sleep(50);
      job = await service.job(id);
    }
    const state = job.error ? `${job.state} (${job.error.code})` : job.state;
    states.set(state, (states.get(state) ?? 0) + 1);
  }
  return states;
}

/** @param {import('../bench/support/service.mjs').Service} service */
async function engineOf(service) {
  const { body } = await service.get('/health/ready');
  const { details } =
    /** @type {{ details: { pipeline: { engines: { id: number, state: string, reason?: string }[] } } }} */ (
      JSON.parse(body.toString())
    );
  return details.pipeline.engines[SICK];
}

/**
 * Milliseconds until the engine is ready for pictures.
 *
 * @param {import('../bench/support/service.mjs').Service} service
 */
async function recovered(service) {
  const began = performance.now();
  while (performance.now() - began < RECOVERY) {
    const { state, reason } = await engineOf(service);
    if (state === 'ready' && reason === undefined) return performance.now() - began;
    await sleep(100);
  }
  return undefined;
}
