/**
 * npm run check:cuda — the prebuilt CUDA engine with the real CUDA runtime and cuBLAS, as far as a machine without a GPU
 * can show it: everything but the driver is found relative to the addon, also in a tree that was moved, as image layers
 * are; the CUDA back end is tried, and why it found no device is told; the processor is there; the service stays up.
 * What comes after the driver is tested over a stand-in of CUDA (test/e2e/cuda.e2e.ts).
 *
 * Works in a temporary tree: native/build keeps its variant. Needs `npm run build` before, a C compiler, and 500 MB to
 * download unless native/.engine/cuda12 or ENGINE_WHEELS has them. Ends with 0 only if everything holds.
 *
 * Seen to fail: with `load_back_ends()` taken out of native/src/addon.cc the engine lists no device, no back end was
 * tried, the reason is "broken engine", and nothing loads on the processor; taken out of `init` alone, the addon lists
 * nothing when it is opened.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { benchmark, temporaryFolder } from '../bench/support/benchmark.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { buildCudaStandin, EngineTree } from '../test/support/engine.tree.js';

/** @typedef {import('../bench/support/service.mjs').Service} Service */
/**
 * @typedef {{ state: string, reason: string, device?: string, description?: string,
 *   engines: { devices?: string[], back_ends?: { name: string, devices: number, problem?: string }[] }[] }} Pipeline
 */

const DRIVER = 'libcuda.so.1';
/** A few attempts to bring the engine up. */
const ENGINE_TRIES_MS = 6_000;

let failures = 0;
/**
 * @param {boolean} holds
 * @param {string} what
 * @param {string | number | undefined} found
 */
function show(holds, what, found) {
  if (!holds) failures++;
  console.log(`${holds ? 'ok    ' : 'FAILED'}  ${what}: ${found}`);
}

/**
 * The addon, and every library of the engine: also what is loaded by name and only when it is asked for.
 *
 * @param {EngineTree} tree
 */
function checkLibraries(tree) {
  const engine = readdirSync(tree.libraries).map((name) => join(tree.libraries, name));
  const files = [join(tree.folder, 'native/build/Release/addon.node'), ...engine];
  /** @type {Set<string>} */
  const missing = new Set();
  /** @type {Set<string>} */
  const own = new Set();
  for (const file of files) {
    const { stdout } = spawnSync('ldd', [file], { encoding: 'utf8' });
    for (const [, name, where] of stdout.matchAll(/^\s*(\S+) => (not found|\S+)/gm)) {
      if (where === 'not found') missing.add(name);
      else if (where.includes('/native/')) own.add(where);
    }
  }
  show(
    [...missing].join() === DRIVER,
    "every library resolves but the driver's",
    `not found: ${[...missing].join()}`,
  );
  const inside = [...own].every((file) => file.startsWith(`${tree.folder}/`));
  const cuda = ['libcudart.so.12', 'libcublas.so.12', 'libcublasLt.so.12'];
  const real = cuda.every((name) => [...own].some((file) => file.endsWith(`/${name}`)));
  show(
    inside && real,
    'the engine and the CUDA libraries are those of the moved tree',
    `${own.size} libraries`,
  );
}

/** @param {EngineTree} tree */
function checkAddon(tree) {
  const devices = tree.devices();
  show(devices.join() === 'CPU', 'the addon lists the processor as soon as it is opened', devices.join());
}

/** @type {(service: Service) => Promise<Pipeline>} */
const pipelineOf = async (service) => {
  const { body } = await service.get('/health/ready');
  const report = /** @type {{ details: { pipeline: Pipeline } }} */ (JSON.parse(body.toString()));
  return report.details.pipeline;
};

/**
 * Between attempts the state is `starting` or `loading` for a moment.
 *
 * @param {Service} service
 * @param {string} state
 */
async function reach(service, state) {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
    const pipeline = await pipelineOf(service);
    if (pipeline.state === state) return pipeline;
  }
  throw new Error(`the engine was not "${state}" within a minute: ${(await pipelineOf(service)).reason}`);
}

/**
 * @param {string} title
 * @param {EngineTree} tree
 * @param {Record<string, string>} variables
 * @param {{ meaning: string, words: RegExp }} expected the end of the reason, and what the loader or the runtime said
 */
async function checkTrouble(title, tree, variables, { meaning, words }) {
  console.log(`\n${title}`);
  const service = await startService({ ...DEMO, ...variables }, { root: tree.folder, ready: false });
  const { reason, engines } = await reach(service, 'failed');
  const [{ devices = [], back_ends = [] }] = engines;
  /** @param {string} name */
  const backEnd = (name) => back_ends.find((one) => one.name === name);
  show(devices.join() === 'CPU' && backEnd('cpu')?.devices === 1, 'the processor is listed', devices.join());
  const { problem } = backEnd('cuda') ?? {};
  show(words.test(problem ?? ''), 'the CUDA back end was tried', problem);
  const says = reason.startsWith('no GPU device: this engine (prebuilt cuda12) found CPU; cuda: ');
  show(says && reason.includes(meaning), 'the reason names what is missing', reason);
  await sleep(ENGINE_TRIES_MS);
  show(
    service.child.exitCode === null,
    'the service is alive after several attempts',
    `${service.child.pid}`,
  );
  const { status } = await service.get('/health/live');
  show(status === 200, '/health/live answers 200', status);
  const picture = await service.ask('generations', { prompt: 'a red apple' }, {});
  const { error } = /** @type {{ error?: { code: string, message: string } }} */ (
    JSON.parse(picture.body.toString())
  );
  const refused = picture.status === 503 && error?.code === 'engine_not_ready';
  show(refused, '/v1/images/generations answers 503', `${error?.code}: ${error?.message}`);
  await checkEnd(service);
}

/** @param {EngineTree} tree */
async function checkProcessor(tree) {
  console.log('\nOn the processor, because ENGINE_DEVICES names it');
  const service = await startService({ ...DEMO, ENGINE_DEVICES: 'CPU' }, { root: tree.folder, ready: false });
  const { device, description } = await reach(service, 'ready');
  show(device === 'CPU', 'the model is loaded there', `${device} (${description})`);
  await checkEnd(service);
}

/** @param {Service} service */
async function checkEnd({ child }) {
  const began = Date.now();
  child.kill('SIGTERM');
  while (child.exitCode === null && child.signalCode === null && Date.now() < began + 10_000) await sleep(50);
  show(child.exitCode === 0, 'SIGTERM ends it', `exit code ${child.exitCode} after ${Date.now() - began} ms`);
}

await benchmark(async () => {
  const work = await temporaryFolder();
  const tree = new EngineTree(join(work, 'built'), 'cuda12');
  console.log('Fetching the engine unless it is here, and building the addon ...');
  tree.fetch();
  tree.build();
  tree.moveTo(join(work, 'moved'));
  checkLibraries(tree);
  checkAddon(tree);
  await checkTrouble(
    'Without a driver',
    tree,
    {},
    {
      meaning: `the NVIDIA driver (${DRIVER}) is not here`,
      words: /libcuda\.so\.1: cannot open shared object file/,
    },
  );
  const driver = join(work, 'driver');
  buildCudaStandin(driver, DRIVER);
  const path = [driver, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  await checkTrouble(
    'With a driver that the CUDA runtime cannot use',
    tree,
    { LD_LIBRARY_PATH: path },
    {
      meaning: 'the NVIDIA driver is too old for CUDA 12',
      words: /CUDA driver version is insufficient for CUDA runtime version/,
    },
  );
  await checkProcessor(tree);
  console.log(failures ? `\n${failures} checks failed` : '\nEverything holds');
  return failures ? 1 : 0;
});
