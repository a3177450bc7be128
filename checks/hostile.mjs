/** Clients that mean no good, many at a time: how each is refused, what they cost, and whether the service still answers. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, verdict } from '../bench/support/benchmark.mjs';
import { observe, residentMb } from '../bench/support/observe.mjs';
import { DEMO, fixturePng, startService } from '../bench/support/service.mjs';
import { quantile } from '../bench/support/statistics.mjs';

const LIVE_MS = 50;
const MOST_MB = 500;
/** Milliseconds between two bytes of a slow client. */
const TRICKLE = 1_000;
/**
 * Of those who send much, so many are there at a time, each with a pause between two requests, in milliseconds: together
 * they fill a gigabit line. Without pauses loopback would carry more than any line, and its cost be measured.
 */
const FLOODS = 8;
const PAUSE = 700;
const MEGABYTES = 10 * 1024 * 1024;

const { connections, seconds } = readArguments('Slow clients, and ones that send far too much.', {
  connections: { about: 'slow clients at a time, half with headers, half with bodies', default: 500 },
  seconds: { about: 'how long', default: 60 },
});

/** @typedef {import('../bench/support/service.mjs').Service} Service */
/** @typedef {{ name: string, begin: string, rest: Buffer | undefined }} Kind `rest` undefined: a byte now and then */

const PICTURE = 'PUT /v1/users/bench/avatar HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n';
const JSON_POST =
  'POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';

/** @type {Kind[]} */
const SLOW = [
  { name: 'slow headers', begin: 'GET / HTTP/1.1\r\nHost: localhost\r\nA: ', rest: undefined },
  { name: 'slow JSON', begin: `${JSON_POST}Content-Length: 1000\r\n\r\n{"`, rest: undefined },
  { name: 'slow headers', begin: 'GET / HTTP/1.1\r\nHost: localhost\r\nA: ', rest: undefined },
  { name: 'slow picture', begin: `${PICTURE}Content-Length: 10000000\r\n\r\n`, rest: undefined },
];
const much = Buffer.alloc(MEGABYTES, 'a');
const chunk = Buffer.concat([Buffer.from(`${MEGABYTES.toString(16)}\r\n`), much, Buffer.from('\r\n')]);
/** @type {Kind[]} */
const LARGE = [
  { name: '10 MB of headers', begin: 'GET / HTTP/1.1\r\nHost: localhost\r\nA: ', rest: much },
  { name: '10 MB of JSON', begin: `${JSON_POST}Content-Length: ${MEGABYTES}\r\n\r\n`, rest: much },
  { name: '10 MB of JSON in chunks', begin: `${JSON_POST}Transfer-Encoding: chunked\r\n\r\n`, rest: chunk },
  { name: '10 MB that is no picture', begin: `${PICTURE}Content-Length: ${MEGABYTES}\r\n\r\n`, rest: much },
];

await benchmark(async () => {
  const service = await startService(DEMO);
  const before = await residentMb(service.child.pid);
  const end = performance.now() + seconds * 1000;
  /** How each kind of client was answered, and how often. @type {Map<string, number>} */
  const answers = new Map();
  const count = (/** @type {string} */ what) => answers.set(what, (answers.get(what) ?? 0) + 1);

  const clients = [
    ...Array.from({ length: connections }, (_, i) =>
      keepComing(service, [SLOW[i % SLOW.length]], 0, end, count),
    ),
    ...Array.from({ length: FLOODS }, () => keepComing(service, LARGE, PAUSE, end, count)),
  ];
  const [{ latencies, most }, avatars] = await Promise.all([
    observe(service, Promise.all(clients)),
    goodGuest(service, end),
  ]);

  for (const [what, times] of [...answers].sort()) console.log(`${what}: ${times}`);
  const p99 = quantile(latencies, 0.99);
  console.log(`${avatars.stored} avatars stored meanwhile, ${avatars.failed} failed`);
  console.log(
    `API memory: ${before.toFixed(0)} MB before, at most ${most.toFixed(0)} MB (+${(most - before).toFixed(0)} MB)`,
  );
  console.log(
    `GET /health/live: p50 ${quantile(latencies, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (${latencies.length} requests)`,
  );
  const welcome = [...answers.keys()].filter((what) => !/: (400|408|413|422|431)$/.test(what));
  const met = welcome.length === 0 && avatars.failed === 0 && most - before < MOST_MB && p99 <= LIVE_MS;
  return verdict(`all refused, avatars stored, < ${MOST_MB} MB more, live p99 <= ${LIVE_MS} ms`, met);
});

/**
 * One client after the other, until the time is over; the last one is waited for.
 *
 * @param {Service} service
 * @param {Kind[]} kinds in turn
 * @param {number} pause
 * @param {number} end
 * @param {(what: string) => void} count
 */
async function keepComing(service, kinds, pause, end, count) {
  for (let i = 0; performance.now() < end; i++) {
    const kind = kinds[i % kinds.length];
    count(`${kind.name}: ${await beRefused(service, kind)}`);
    await sleep(pause);
  }
}

/**
 * Sends until the server ends the connection; resolves to the status that it answered.
 *
 * @param {Service} service
 * @param {Kind} kind
 * @returns {Promise<string>}
 */
async function beRefused(service, { begin, rest }) {
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  let text = '';
  socket.on('data', (/** @type {Buffer} */ data) => (text += data.toString('latin1')));
  socket.on('error', () => {}); // cut while it still sends; what was answered came before
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(begin);
  if (rest) socket.write(rest);
  const trickle = setInterval(() => void (!rest && socket.writable && socket.write('a')), TRICKLE);
  await Promise.race([closed, answered(socket, () => text)]);
  clearInterval(trickle);
  socket.destroy();
  return /^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 'closed without an answer';
}

/**
 * @param {import('node:net').Socket} socket
 * @param {() => string} text
 */
async function answered(socket, text) {
  while (!text().includes('\r\n\r\n')) await once(socket, 'data');
}

/**
 * Somebody who means well: puts an avatar every second.
 *
 * @param {Service} service
 * @param {number} end
 */
async function goodGuest(service, end) {
  // Decoders do not mind what follows; large enough to need a place among the pictures that arrive.
  const png = Buffer.concat([await fixturePng('panda-on-purple'), Buffer.alloc(500_000)]);
  let [stored, failed] = [0, 0];
  for (; performance.now() < end; await sleep(1000)) {
    const headers = { 'content-type': 'image/png' };
    const reply = await fetch(`${service.url}/v1/users/guest/avatar`, {
      method: 'PUT',
      headers,
      body: png,
    }).catch(() => undefined);
    await reply?.arrayBuffer();
    if (reply?.ok) stored++;
    else failed++;
  }
  return { stored, failed };
}
