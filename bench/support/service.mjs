/**
 * The built service as a real process, for benchmarks: its own free port, its own temporary DATA_DIR, and nothing
 * left behind, however the benchmark ends.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd, temporaryFolder } from './benchmark.mjs';

/** @typedef {Awaited<ReturnType<typeof startService>>} Service */
/** @typedef {{ status: number, body: Buffer, headers: import('node:http').IncomingHttpHeaders }} Answer */
/** @typedef {Record<string, number>} Timings milliseconds; the names are those of the reply */
/** @typedef {{ id: string, data: { url: string, seed: number }[], timings: Timings, warnings: string[] }} Picture */

/**
 * @typedef {{ id: string, state: string, progress: { phase: string, step: number } | null, attempts: number,
 *   error: { code: string } | null }} Job
 */

const ROOT = resolve(import.meta.dirname, '../..');
const MAIN = 'dist/apps/server/src/main.js';
const FIXTURES = join(ROOT, 'test/fixtures');

/** The checkpoint of the repository. */
export const DEMO = { MODEL_PATH: 'demo', DEMO_CACHE: join(ROOT, 'data/demo') };

/** For an orderly end, in milliseconds; then the process is killed, and its engine dies with it. */
const PATIENCE = 15_000;

/**
 * Starts the service and resolves once it takes pictures, or with `ready: false` once it listens.
 *
 * @param {Record<string, string>} variables
 * @param {{ nodeArguments?: string[], ipc?: boolean, ready?: boolean, minutes?: number, folder?: string, root?: string,
 *   onLine?: (line: string) => void, headers?: Record<string, string> }} [options] `minutes`: longest wait for the
 *   model; `folder`: DATA_DIR, else a new one; `root`: where it is built, else this repository; `onLine` gets every line
 *   of the log; `headers` go with every request
 */
export async function startService(variables, options = {}) {
  const {
    nodeArguments = [],
    ipc = false,
    ready = true,
    minutes = 3,
    onLine,
    headers,
    root = ROOT,
  } = options;
  const main = join(root, MAIN);
  if (!existsSync(main)) throw new Error('The service is not built: run npm run build');
  const folder = options.folder ?? (await temporaryFolder());
  const child = spawn(process.execPath, [...nodeArguments, main], {
    cwd: folder, // in a folder of its own it reads nobody's .env
    // Nobody else calls, and a benchmark calls as fast as it can.
    env: { ...environment(), DATA_DIR: folder, PORT: '0', RATE_LIMIT_PER_ADDRESS: '0', ...variables },
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? [/** @type {const} */ ('ipc')] : [])],
    detached: true, // a process group of its own, for killGroup
  });
  const ended = once(child, 'exit');
  atEnd(async () => {
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
  });

  const log = /** @type {string[]} */ ([]);
  const address = listen(child, log, onLine);
  const dead = ended.then(() => Promise.reject(new Error(`The service ended:\n${log.join('\n')}`)));
  dead.catch(() => {}); // later calls notice by themselves
  const url = await Promise.race([address, dead]);
  const killGroup = async () => {
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await ended;
  };
  const service = {
    ...{ child, url, killGroup, enginePid: () => engineOf(child.pid ?? 0) },
    ...client(url, headers),
  };
  if (ready) await Promise.race([untilReady(service, minutes), dead]);
  return service;
}

/**
 * The engine process of a service, while there is one.
 *
 * @param {number} service
 */
async function engineOf(service) {
  const children = await readFile(`/proc/${service}/task/${service}/children`, 'utf8');
  for (const pid of children.trim().split(' ').filter(Boolean)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('apps/engine')) return Number(pid);
  }
  return undefined;
}

/** The environment without the service's own variables: benchmarks measure its defaults. */
function environment() {
  const require = createRequire(import.meta.url);
  const config = /** @type {{ CONFIG_VARIABLES: readonly string[] }} */ (
    require(join(ROOT, 'dist/libs/config/config.js'))
  );
  const own = config.CONFIG_VARIABLES;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.includes(name)));
}

/**
 * Keeps the last lines that the service logs, and resolves to its address.
 *
 * @param {import('node:child_process').ChildProcess} child
 * @param {string[]} log
 * @param {(line: string) => void} [onLine]
 * @returns {Promise<string>}
 */
function listen(child, log, onLine) {
  return new Promise((resolve) => {
    for (const input of [child.stdout, child.stderr]) {
      if (!input) continue;
      createInterface({ input }).on('line', (line) => {
        if (log.push(line) > 20) log.shift();
        onLine?.(line);
        const listening = /Listening on (http:[^"\s]+)/.exec(line);
        if (listening) resolve(listening[1]);
      });
    }
  });
}

/**
 * @param {string} url
 * @param {Record<string, string>} [always] headers
 */
function client(url, always = {}) {
  const agent = new Agent({ keepAlive: true });

  /**
   * @param {string} method
   * @param {string} path
   * @param {string} [type]
   * @param {string | Buffer} [body]
   * @param {Record<string, string>} [more] headers
   * @returns {Promise<Answer>}
   */
  const send = (method, path, type, body, more = {}) =>
    new Promise((resolve, reject) => {
      // node:http and not fetch, which gives up on an answer after five minutes.
      const headers = { ...always, ...(type && { 'content-type': type }), ...more };
      const call = request(url + path, { method, agent, headers }, (response) => {
        /** @type {Buffer[]} */
        const chunks = [];
        response.on('data', (/** @type {Buffer} */ chunk) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => {
          const { statusCode: status = 0, headers } = response;
          resolve({ status, headers, body: Buffer.concat(chunks) });
        });
      });
      call.on('error', reject).end(body);
    });

  return {
    /** @param {string} path */
    get: (path) => send('GET', path),

    /**
     * Asks for a picture; `wall` is the milliseconds until the reply was there.
     *
     * @param {'generations' | 'memory' | 'subject'} route
     * @param {Record<string, unknown>} options
     */
    async draw(route, options) {
      const asked = performance.now();
      const answer = await send('POST', `/v1/images/${route}`, 'application/json', JSON.stringify(options));
      const wall = performance.now() - asked;
      expectOk(answer, route);
      return { .../** @type {Picture} */ (JSON.parse(answer.body.toString())), wall };
    },

    /**
     * The answer to a picture request, whatever it is.
     *
     * @param {'generations' | 'memory' | 'subject'} route
     * @param {Record<string, unknown>} options
     * @param {Record<string, string>} headers
     */
    ask: (route, options, headers) =>
      send('POST', `/v1/images/${route}`, 'application/json', JSON.stringify(options), headers),

    /**
     * Hands in a job and leaves; resolves to its id.
     *
     * @param {'generations' | 'memory' | 'subject'} route
     * @param {Record<string, unknown>} options
     */
    async submit(route, options) {
      const headers = { prefer: 'respond-async' };
      const body = JSON.stringify(options);
      const answer = await send('POST', `/v1/images/${route}`, 'application/json', body, headers);
      return readJob(expectOk(answer, route)).id;
    },

    /** @param {string} id */
    job: async (id) => readJob(await send('GET', `/v1/jobs/${id}`)),

    /** @param {string} id */
    cancel: async (id) => readJob(await send('DELETE', `/v1/jobs/${id}`)),

    /** @param {Picture} picture */
    async png(picture) {
      return expectOk(await send('GET', new URL(picture.data[0].url).pathname), 'the picture').body;
    },

    /**
     * @param {string} userId
     * @param {'avatar' | 'photo'} kind
     * @param {string} fixture the name of a picture in test/fixtures, without .png
     */
    async putPicture(userId, kind, fixture) {
      const bytes = await fixturePng(fixture);
      expectOk(await send('PUT', `/v1/users/${userId}/${kind}`, 'image/png', bytes), kind);
    },
  };
}

/**
 * @param {Answer} answer
 * @returns {Job}
 */
const readJob = (answer) => JSON.parse(expectOk(answer, 'a job').body.toString());

/** @param {string} name */
export const fixtureFile = (name) => join(FIXTURES, `${name}.png`);

/** @param {string} name */
export const fixturePng = (name) => readFile(fixtureFile(name));

/**
 * @param {Answer} answer
 * @param {string} what
 */
function expectOk(answer, what) {
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw new Error(`Expected ${what} but received ${answer.status}: ${answer.body.toString()}`);
}

/** @param {{ get(path: string): Promise<Answer> }} service */
export async function health(service) {
  const { body } = await service.get('/health/ready');
  const report = /** @type {{ details: { pipeline: Record<string, string | number | boolean> } }} */ (
    JSON.parse(body.toString())
  );
  return report.details.pipeline;
}

/**
 * @param {{ get(path: string): Promise<Answer> }} service
 * @param {number} minutes
 */
async function untilReady(service, minutes) {
  const last = performance.now() + minutes * 60_000;
  for (;;) {
    const { state, status, reason } = await health(service);
    if (status === 'up') return;
    if (state === 'failed') throw new Error(`The service cannot draw: ${reason}`);
    if (performance.now() > last) throw new Error(`Not ready after ${minutes} minutes: ${reason ?? state}`);
    await sleep(100);
  }
}

/**
 * The time in the engine, in milliseconds: the call of generate_image where the reply tells it, else the sum of its
 * four phases, which are rounded to milliseconds and may miss it by 2.
 *
 * @param {Timings} timings
 */
export const engineTime = ({ engine_ms, text_ms, image_ms, sampling_ms, decode_ms }) =>
  engine_ms ?? text_ms + image_ms + sampling_ms + decode_ms;
