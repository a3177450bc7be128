/**
 * npm run check:cuda — shows on a machine without a GPU what can be shown of the CUDA engine: it is fetched and built,
 * every library but the driver's is found relative to the addon (also in a tree that was moved, as image layers are),
 * and without a driver, or with one that has no device, the service stays up and says "no GPU device".
 *
 * Works in a temporary tree: native/build keeps its variant. Needs `npm run build` before, a C compiler, and 500 MB to
 * download unless native/.engine/cuda12 or ENGINE_WHEELS has them. Ends with 0 only if everything holds.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import {
  copyFileSync,
  lstatSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const DRIVER = 'libcuda.so.1';
const ENGINE_TRIES_MS = 6_000;

let failures = 0;
function show(holds, what, found) {
  if (!holds) failures++;
  console.log(`${holds ? 'ok    ' : 'FAILED'}  ${what}${found ? `: ${found}` : ''}`);
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (result.status !== 0)
    throw new Error(
      `${command} ${args.join(' ')}: ${result.stderr || result.error?.message || result.status}`,
    );
  return result.stdout;
}

/** A copy by hard links where the file system allows: the CUDA libraries are 900 MB. */
function linkTree(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from)) {
    const [source, target] = [join(from, entry), join(to, entry)];
    const kind = lstatSync(source);
    if (kind.isDirectory()) linkTree(source, target);
    else if (kind.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else {
      try {
        linkSync(source, target);
      } catch {
        copyFileSync(source, target);
      }
    }
  }
}

/** The addon built for CUDA in `tree`; the engine is fetched into this repository's native/.engine. */
function buildIn(tree) {
  for (const part of ['native/engine', 'native/src', 'native/index.js', 'CMakeLists.txt', 'package.json'])
    cpSync(join(ROOT, part), join(tree, part), { recursive: true });
  mkdirSync(join(ROOT, 'native/.engine'), { recursive: true });
  symlinkSync(join(ROOT, 'native/.engine'), join(tree, 'native/.engine'));
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
  const env = { ...process.env, ENGINE_VARIANT: 'cuda12', SD_CPP_ROOT: '' };
  delete env.ENGINE_SANITIZE;
  run(process.execPath, [join(tree, 'native/engine/install.js')], { env, stdio: 'inherit' });
}

/** What an image holds, in another place than where it was built. */
function move(built, moved) {
  mkdirSync(join(moved, 'native/build'), { recursive: true });
  renameSync(join(built, 'native/build/Release'), join(moved, 'native/build/Release'));
  renameSync(join(built, 'native/index.js'), join(moved, 'native/index.js'));
  rmSync(built, { recursive: true });
  linkTree(join(ROOT, 'native/.engine/cuda12'), join(moved, 'native/.engine/cuda12'));
  cpSync(join(ROOT, 'dist'), join(moved, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(moved, 'package.json'));
  mkdirSync(join(moved, 'libs/models'), { recursive: true });
  symlinkSync(join(ROOT, 'libs/models/demo'), join(moved, 'libs/models/demo'));
  symlinkSync(join(ROOT, 'node_modules'), join(moved, 'node_modules'));
}

function checkLibraries(tree) {
  const lines = run('ldd', [join(tree, 'native/build/Release/addon.node')]).split('\n');
  const missing = lines.filter((line) => line.includes('not found')).map((line) => line.trim().split(' ')[0]);
  show(
    missing.join() === DRIVER,
    "every library resolves but the driver's",
    `missing: ${missing.join(', ') || 'none'}`,
  );
  const own = lines.map((line) => / => (\S*\/native\/\S+) /.exec(line)?.[1]).filter(Boolean);
  const inside = own.length > 0 && own.every((file) => file.startsWith(`${tree}/`));
  show(inside, 'the engine and the CUDA libraries are found in the moved tree', `${own.length} libraries`);
}

/** Starts the built service; resolves with its address once it listens. */
async function startService(tree, folder, env) {
  const variables = {
    MODEL_PATH: 'demo',
    DEMO_CACHE: join(ROOT, 'data/demo'),
    DATA_DIR: join(folder, 'data'),
    HOST: '127.0.0.1',
    PORT: '0',
  };
  const child = spawn(process.execPath, [join(tree, 'dist/apps/api/src/main.js')], {
    cwd: folder, // where no .env is
    env: { ...variables, ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise((listening, failed) => {
    child.once('exit', (code) => failed(new Error(`the service ended with ${code} before it listened`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /Listening on (http:\/\/[\d.:]+)/.exec(line);
      if (found) listening(found[1]);
    });
  });
  return { child, url };
}

/** Between attempts the state is `starting` or `loading` for a moment; `failed` has the reason. */
async function reasonOf(url) {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
    const { details } = await (await fetch(`${url}/health/ready`)).json();
    if (details.pipeline.state === 'failed') return details.pipeline.reason;
  }
  throw new Error('the engine gave no reason for a minute');
}

async function checkService(title, tree, env = {}) {
  console.log(`\n${title}`);
  const folder = mkdtempSync(join(tmpdir(), 'check-cuda-data-'));
  const { child, url } = await startService(tree, folder, env);
  try {
    const reason = await reasonOf(url);
    show(reason.startsWith('no GPU device'), 'the reason is that there is no GPU device', reason);
    await sleep(ENGINE_TRIES_MS); // a few more attempts to bring the engine up
    show(child.exitCode === null && child.signalCode === null, 'the service is alive after several attempts');
    const live = await fetch(`${url}/health/live`);
    show(live.status === 200, '/health/live answers 200', live.status);
    const again = await reasonOf(url);
    const ready = await fetch(`${url}/health/ready`);
    show(
      ready.status === 503 && again === reason,
      '/health/ready answers 503, still with that reason',
      ready.status,
    );
    const picture = await fetch(`${url}/v1/images/generations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'a red apple' }),
    });
    const { error } = await picture.json();
    const refused = picture.status === 503 && error?.code === 'engine_not_ready';
    show(
      refused,
      '/v1/images/generations answers 503',
      `${picture.status} ${error?.code}: ${error?.message}`,
    );
    const began = Date.now();
    child.kill('SIGTERM');
    while (child.exitCode === null && child.signalCode === null && Date.now() < began + 10_000)
      await sleep(50);
    show(
      child.exitCode === 0,
      'SIGTERM ends it',
      `exit code ${child.exitCode} after ${Date.now() - began} ms`,
    );
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A driver library with nothing in it: the addon loads, and CUDA finds no device. */
function standInDriver(folder) {
  mkdirSync(folder);
  const source = join(folder, 'empty.c');
  writeFileSync(source, '');
  run('cc', ['-shared', '-fPIC', `-Wl,-soname,${DRIVER}`, '-o', join(folder, DRIVER), source]);
  return folder;
}

async function main() {
  if (!existsSync(join(ROOT, 'dist/apps/api/src/main.js'))) throw new Error('run `npm run build` first');
  const work = mkdtempSync(join(tmpdir(), 'check-cuda-'));
  try {
    const [built, moved] = [join(work, 'built'), join(work, 'moved')];
    mkdirSync(built);
    buildIn(built);
    move(built, moved);
    checkLibraries(moved);
    await checkService('Without a driver', moved);
    const driver = standInDriver(join(work, 'driver'));
    const path = [driver, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
    await checkService('With a driver that has no device', moved, { LD_LIBRARY_PATH: path });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  console.log(failures ? `\n${failures} checks failed` : '\nEverything holds');
  process.exitCode = failures ? 1 : 0;
}

await main().catch((error) => {
  console.error(`check:cuda: ${error.message}`);
  process.exitCode = 1;
});
