/**
 * npm run check:image — the image for CPUs, built and run as an operator would on a strict platform: as a user that nobody
 * knows, on a read-only root, without capabilities. It has to generate an image there and to end on SIGTERM. What is wrong with
 * it is reported (hadolint, trivy where these are installed), and its size.
 *
 *   CONTAINER      the command, docker by default: `podman`, `podman --runtime runc --cgroup-manager cgroupfs`
 *   BUILD_OPTIONS  more options of its `build`, such as `--build-arg NODE_IMAGE=…` for a base of your own
 *   RUN_OPTIONS    more options of its `run`
 */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const IMAGE = 'sdxl-image-service:check';
/** Bytes. */
const LARGEST = 600e6;
const COMPILERS = ['cc', 'c++', 'gcc', 'g++', 'make', 'cmake', 'python3', 'npm'];

/** @type {(name: string) => string[]} */
const words = (name) => (process.env[name] ?? '').split(' ').filter(Boolean);
const [program, ...options] = process.env.CONTAINER ? words('CONTAINER') : ['docker'];
let failures = 0;

/** @type {(what: string, ok: boolean, detail?: unknown) => void} */
function report(what, ok, detail = '') {
  if (!ok) failures++;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${what} ${String(detail)}`);
}
/** @type {(...args: string[]) => { ok: boolean, text: string }} */
function container(...args) {
  const { status, stdout, stderr, error } = spawnSync(program, [...options, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const text = status === 0 ? stdout.trim() : `${stdout}\n${stderr}${error?.message ?? ''}`.trim();
  return { ok: status === 0, text };
}
/** @type {(...args: string[]) => string} */
function must(...args) {
  const { ok, text } = container(...args);
  if (ok) return text;
  throw new Error(`${program} ${args[0]} failed:\n${text.split('\n').slice(-20).join('\n')}`);
}

/** @returns {Promise<number>} */
const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => done(port));
    });
  });

/** @type {(tool: string, ...args: string[]) => void} */
function lint(tool, ...args) {
  const { status, stdout, stderr, error } = spawnSync(tool, args, { cwd: ROOT, encoding: 'utf8' });
  if (error) return console.log(`       ${tool} is not installed`);
  const unreachable = /download error|failed to download|connection refused|no such host/i.exec(stderr);
  if (status !== 0 && unreachable) return console.log(`       ${tool}: its database cannot be had here`);
  report(tool, status === 0, stdout);
}

/** Runs it as strictly as a platform may, with a folder of this machine for its volumes. @type {(folder: string) => Promise<void>} */
async function generate(folder) {
  const user = randomInt(10_000, 2_000_000_000);
  for (const name of ['data', 'models']) {
    mkdirSync(join(folder, name));
    // Of group 0, as the image's own.
    chmodSync(join(folder, name), 0o775);
  }
  const port = await freePort();
  const id = must('run', '--detach', '--read-only', '--tmpfs', '/tmp', '--user', `${user}:0`, '--network', 'host',
    '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--env', `PORT=${port}`, '--env', 'HOST=127.0.0.1',
    '--env', 'MODEL_PATH=demo', '--volume', `${join(folder, 'data')}:/data`, '--volume', `${join(folder, 'models')}:/models`,
    ...words('RUN_OPTIONS'), IMAGE); // prettier-ignore
  try {
    const url = `http://127.0.0.1:${port}`;
    for (let tries = 0; tries < 240; tries++) {
      const ready = await fetch(`${url}/health/ready`).catch(() => undefined);
      if (ready?.ok) break;
      await sleep(500);
    }
    const body = JSON.stringify({ prompt: 'a fox', size: '64x64', num_inference_steps: 4 });
    const headers = { 'content-type': 'application/json' };
    const reply = await fetch(`${url}/v1/images/generations`, { method: 'POST', headers, body });
    const { data } = /** @type {{ data?: { url: string }[] }} */ (await reply.json());
    const address = data && new URL(data[0].url);
    const image = address && (await fetch(url + address.pathname));
    const bytes = Buffer.from(image ? await image.arrayBuffer() : new ArrayBuffer(0));
    report(
      `an image as user ${user} on a read-only root`,
      bytes.subarray(1, 4).toString() === 'PNG',
      `${bytes.length} bytes`,
    );
    must('stop', '--time', '30', id);
    report('ends on SIGTERM', must('inspect', '--format', '{{.State.ExitCode}}', id) === '0');
  } catch (error) {
    console.error(container('logs', id).text);
    throw error;
  } finally {
    container('rm', '--force', id);
  }
}

lint('hadolint', 'Dockerfile');
must('build', '--build-arg', 'ENGINE_VARIANT=cpu', '--build-arg', 'REQUIRE_GPU=false', '--tag', IMAGE,
  ...words('BUILD_OPTIONS'), '.'); // prettier-ignore
const size = Number(must('image', 'inspect', '--format', '{{.Size}}', IMAGE));
report(`less than ${LARGEST / 1e6} MB`, size < LARGEST, `${Math.round(size / 1e6)} MB`);
const labels = must('image', 'inspect', '--format', '{{json .Config.Labels}}', IMAGE);
report('labels', /image\.version.*image\.licenses|image\.licenses.*image\.version/.test(labels));
report('a user by number', must('image', 'inspect', '--format', '{{.Config.User}}', IMAGE) === '1000:0');
/** @type {(command: string) => string} */
const shell = (command) =>
  must('run', '--rm', ...words('RUN_OPTIONS'), '--entrypoint', 'sh', IMAGE, '-c', command);
const found = shell(`for tool in ${COMPILERS.join(' ')}; do command -v $tool; done; true`);
report('no compiler', found === '', found);
report('a bill of materials', shell('head -c 200 tools/sbom.cdx.json').includes('CycloneDX'));
const folder = mkdtempSync(join(tmpdir(), 'image-'));
await generate(folder).finally(() => rmSync(folder, { recursive: true, force: true }));
const archive = join(tmpdir(), `image-${process.pid}.tar`);
try {
  must('save', '--output', archive, IMAGE);
  lint('trivy', 'image', '--quiet', '--severity', 'CRITICAL,HIGH', '--ignore-unfixed', '--exit-code', '1', '--input', archive); // prettier-ignore
} finally {
  rmSync(archive, { force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
