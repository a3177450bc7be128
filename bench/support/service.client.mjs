/** A client of the service, for benchmarks and checks. */
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { resolve, join } from 'node:path';

/** @typedef {{ status: number, body: Buffer, headers: import('node:http').IncomingHttpHeaders }} Answer */
/** @typedef {Record<string, number>} Timings milliseconds; the names are those of the reply */
/** @typedef {{ id: string, data: { url: string, seed: number }[], timings: Timings, warnings: string[] }} Picture */

/**
 * @typedef {{ id: string, state: string, progress: { phase: string, step: number } | null, attempts: number,
 *   error: { code: string } | null }} Job
 */

const FIXTURES = resolve(import.meta.dirname, '../../test/fixtures');

/**
 * @param {string} url
 * @param {Record<string, string>} [always] headers
 * @param {{ localAddress?: string, maxSockets?: number, patience?: number }} [options] whose connections; milliseconds
 *   for an answer
 */
export function client(url, always = {}, { patience, ...connections } = {}) {
  const agent = new Agent({ keepAlive: true, ...connections });

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
      const signal = patience === undefined ? undefined : AbortSignal.timeout(patience);
      const call = request(url + path, { method, agent, headers, signal }, (response) => {
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
    send,
    close: () => agent.destroy(),

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
export function expectOk(answer, what) {
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw new Error(`Expected ${what} but received ${answer.status}: ${answer.body.toString()}`);
}
