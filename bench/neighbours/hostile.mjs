/**
 * A caller who means ill, in a thread of its own: a known key, an address of its own, and never more requests than a key
 * may send by default. Each way is one that once worked.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import sharp from 'sharp';
import { client } from '../support/service.client.mjs';

/** @typedef {typeof import('./ways.mjs').WAYS[number]} Way */

const ADDRESS = '127.0.0.66';
/** Requests a minute, the default of RATE_LIMIT_PER_KEY. It is a window: all of them may come at once. */
const ALLOWED = 1000;
const AT_ONCE = 400;
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 1 };

const { url, secret, way, reader } =
  /** @type {{ url: string, secret: string, reader: string, way: Way }} */ (workerData);
const caller = client(
  url,
  { authorization: `Bearer ${secret}`, prefer: 'respond-async' },
  { localAddress: ADDRESS, maxSockets: 200 },
);
let acting = true;
/** @type {Map<string, number>} */
const answers = new Map();
const count = (/** @type {string} */ what) => answers.set(what, (answers.get(what) ?? 0) + 1);

/** A server that takes connections and never says a word. */
const silent = createServer((socket) => void socket.on('error', () => {})).listen(0, '127.0.0.1');
await once(silent, 'listening');
const { port: silentPort } = /** @type {import('node:net').AddressInfo} */ (silent.address());
const nowhere = `http://127.0.0.1:${silentPort}`;

/**
 * @param {string} method
 * @param {string} path
 * @param {object | Buffer} [body]
 * @returns {Promise<string>} the answer's body; '' where there was none
 */
async function send(method, path, body) {
  const type = body && (Buffer.isBuffer(body) ? 'image/png' : 'application/json');
  try {
    const bytes = Buffer.isBuffer(body) ? body : body && JSON.stringify(body);
    const answer = await caller.send(method, path, type, bytes);
    count(String(answer.status));
    return answer.body.toString();
  } catch {
    count('cut');
    return '';
  }
}

/** @param {object} options */
const draw = (options) => send('POST', '/v1/images/generations', { ...SMALL, ...options });

/** A job that ends at once, and tells its webhook. @param {object} options */
async function drawAndCancel(options) {
  const id = /"id":"([0-9a-f]{24})"/.exec(await draw(options))?.[1];
  if (id) await send('DELETE', `/v1/jobs/${id}`);
}

/** A connection that begins with `head` and then neither sends nor reads. Resolves when it is cut. @param {string} head */
const hold = (head) =>
  new Promise((resolve) => {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress: ADDRESS });
    socket.on('error', () => {}).on('close', () => (count('cut'), resolve(undefined)));
    socket.pause();
    socket.write(head);
    held.add(socket);
    socket.once('close', () => held.delete(socket));
  });
/** @type {Set<import('node:net').Socket>} */
const held = new Set();

/** @param {string} method @param {string} path @param {string} key @param {number} [length] */
const head = (method, path, key, length) =>
  `${method} ${path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nAuthorization: Bearer ${key}\r\n` +
  `${length ? `Content-Type: image/png\r\nContent-Length: ${length}\r\n` : ''}\r\n`;

let number = 0;
const bodyThatStops = Buffer.alloc(70_000, 'a').toString('latin1');
const interlaced =
  way === 'large pictures'
    ? await sharp({ create: { width: 7071, height: 7071, channels: 3, background: '#a0c0e0' } })
        .png({ progressive: true })
        .toBuffer()
    : Buffer.alloc(0);

/** Who was cut comes back after so long, in milliseconds. */
const BACK_AFTER = 1000;

/**
 * Of each way how many are under way at a time, and one of them.
 *
 * @type {Record<Way, readonly [number, () => Promise<unknown>]>}
 */
const ACTS = {
  'uploads that stop': [
    32,
    () =>
      hold(head('PUT', '/v1/users/hostile/avatar', number++ % 2 ? secret : reader, 200_000) + bodyThatStops),
  ],
  'a full queue': [20, () => draw({ user: `nobody-${number++}` })],
  'webhooks that hang': [20, () => drawAndCancel({ webhook_url: `${nowhere}/${number++}` })],
  'references that hang': [24, () => drawAndCancel({ reference_image_url: `${nowhere}/${number++}.png` })],
  'names that hang': [20, () => drawAndCancel({ webhook_url: `http://a${number++}.example.net/hook` })],
  'large pictures': [12, () => send('PUT', '/v1/users/hostile/avatar', interlaced)],
  'avatars again and again': [20, () => send('GET', '/v1/users/hostile/avatar')],
  'lists of jobs': [40, () => send('GET', '/v1/jobs?limit=100')],
  'replies not read': [40, () => hold(head('GET', '/docs/swagger-ui-bundle.js', secret).repeat(20))],
  'all connections': [
    2100,
    () => hold('GET / HTTP/1.1\r\nHost: localhost\r\n').then(() => sleep(BACK_AFTER)),
  ],
};

/** What must be there before. */
async function prepare() {
  if (way === 'avatars again and again') {
    const noise = Buffer.from(Array.from({ length: 1024 * 1024 * 3 }, (_, i) => (i * 2654435761) >>> 24));
    const raw = { width: 1024, height: 1024, channels: /** @type {const} */ (3) };
    await send('PUT', '/v1/users/hostile/avatar', await sharp(noise, { raw }).png().toBuffer());
  }
  if (way === 'lists of jobs') await Promise.all(Array.from({ length: AT_ONCE }, () => draw({})));
}

parentPort?.once('message', () => void (acting = false));
await prepare();
const [atOnce, act] = ACTS[way];
const began = performance.now();
let sent = 0;
/** The requests of a minute, at once or over time. */
const allowed = () => sent < AT_ONCE + ((performance.now() - began) / 60_000) * ALLOWED;
const hands = Array.from({ length: atOnce }, async () => {
  while (acting) {
    if (allowed() || way === 'all connections') {
      sent++;
      await act();
    } else await sleep(50);
  }
});
parentPort?.postMessage('begun');
await Promise.race([
  Promise.all(hands),
  once(/** @type {NonNullable<typeof parentPort>} */ (parentPort), 'message'),
]);
acting = false;
for (const socket of held) socket.destroy();
caller.close();
silent.close();
parentPort?.postMessage(answers);
process.exit();
