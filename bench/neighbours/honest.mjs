/** A caller who means well: goes through every route, one after the other, and keeps how long each took. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { client, expectOk, fixturePng } from '../support/service.client.mjs';

/** Routes, and what a webhook takes from the job's end until it is there. */
export const ROUTES = /** @type {const} */ ([
  'live',
  'ready',
  'list of jobs',
  'job',
  'generations',
  'with a reference',
  'memory',
  'webhook',
  'put avatar',
  'get avatar',
  'get picture',
]);
/** @typedef {typeof ROUTES[number]} Route */
/** @typedef {{ state: string, result: { data: { url: string }[] } }} DrawnJob */

const ADDRESS = '127.0.0.2';
const PAUSE = 20;
/** An answer, or a webhook, that is not there by then has failed. */
const PATIENCE = 30_000;
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 1 };

/**
 * @param {string} url the service
 * @param {string} secret of a key that may do all
 */
export async function honestCaller(url, secret) {
  const headers = { authorization: `Bearer ${secret}` };
  const service = client(url, headers, { localAddress: ADDRESS, patience: PATIENCE });
  // Decoders do not mind what follows; large enough to need a place among the pictures that arrive.
  const png = Buffer.concat([await fixturePng('panda-on-purple'), Buffer.alloc(200_000)]);
  const server = await startServer(png);

  /** @param {string} path */
  const get = async (path) => expectOk(await service.send('GET', path), path);
  const putAvatar = async () =>
    expectOk(await service.send('PUT', '/v1/users/honest/avatar', 'image/png', png), 'an avatar');
  /** Of a job that is not wanted after all: what is measured here is not the drawing. @param {string} id */
  const remove = (id) => service.send('DELETE', `/v1/jobs/${id}`).catch(() => {});

  await putAvatar();
  const drawn = await service.submit('generations', SMALL);
  const picture = await untilDrawn(drawn);

  /** @param {string} id */
  async function untilDrawn(id) {
    for (;;) {
      const { state, result } = /** @type {DrawnJob} */ (/** @type {unknown} */ (await service.job(id)));
      if (state === 'succeeded') return new URL(result.data[0].url).pathname;
      await sleep(20);
    }
  }

  /** Of each route the milliseconds of every success, and how often it failed, and how the last time. */
  function newResults() {
    return {
      took: new Map(ROUTES.map((route) => [route, /** @type {number[]} */ ([])])),
      failed: new Map(ROUTES.map((route) => [route, /** @type {string[]} */ ([])])),
    };
  }

  /** @param {ReturnType<typeof newResults>} results */
  async function round({ took, failed }) {
    /**
     * @template T
     * @param {Route} route
     * @param {() => Promise<T>} act
     */
    const measure = async (route, act) => {
      const began = performance.now();
      try {
        const result = await act();
        took.get(route)?.push(performance.now() - began);
        return result;
      } catch (error) {
        failed.get(route)?.push(String(error));
        return undefined;
      } finally {
        await sleep(PAUSE);
      }
    };
    await measure('live', () => get('/health/live'));
    await measure('ready', () => get('/health/ready'));
    await measure('list of jobs', () => get('/v1/jobs'));
    await measure('job', () => get(`/v1/jobs/${drawn}`));
    const jobs = [
      await measure('generations', () => service.submit('generations', SMALL)),
      await measure('with a reference', () =>
        service.submit('generations', { ...SMALL, reference_image_url: `${server.url}/picture` }),
      ),
      await measure('memory', () => service.submit('memory', { ...SMALL, user_id: 'honest' })),
    ];
    for (const id of jobs) if (id) await remove(id);
    const webhook_url = `${server.url.replace('127.0.0.1', 'localhost')}/hook`;
    const told = await service
      .submit('generations', { ...SMALL, webhook_url })
      .catch((error) => /** @type {Error} */ (error));
    await measure('webhook', async () => {
      if (told instanceof Error) throw told;
      const heard = server.heard(told);
      await remove(told);
      await heard;
    });
    await measure('put avatar', putAvatar);
    await measure('get avatar', () => get('/v1/users/honest/avatar'));
    await measure('get picture', () => get(picture));
  }

  return {
    /** Goes round for so many seconds. @param {number} seconds */
    async walk(seconds) {
      const results = newResults();
      const end = performance.now() + seconds * 1000;
      while (performance.now() < end) await round(results);
      return results;
    },
    async leave() {
      service.close();
      await server.close();
    },
  };
}

/** A server of the caller's own: has a picture, and hears webhooks. @param {Buffer} png */
async function startServer(png) {
  /** @type {Map<string, () => void>} */
  const waiting = new Map();
  const server = createServer((incoming, response) => {
    if (incoming.url === '/picture') {
      response.setHeader('content-type', 'image/png').end(png);
      return;
    }
    let body = '';
    incoming.on('data', (/** @type {Buffer} */ chunk) => (body += chunk.toString()));
    incoming.on('end', () => {
      response.end();
      const { type, data } = /** @type {{ type: string, data: { id: string } }} */ (JSON.parse(body));
      if (type !== 'job.running') waiting.get(data.id)?.();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    /** Resolves when the job's end was told. @param {string} id @returns {Promise<void>} */
    heard: (id) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no webhook')), PATIENCE);
        waiting.set(id, () => (clearTimeout(timer), resolve()));
      }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
