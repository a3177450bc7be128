/**
 * One caller's weight on another: an honest caller goes through all routes, alone and beside a hostile one, who uses in
 * turn each way that once worked, at the rate that a key may have. Everything is real but the engine.
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { honestCaller, ROUTES } from './neighbours/honest.mjs';
import { WAYS } from './neighbours/ways.mjs';
import { readArguments } from './support/arguments.mjs';
import { atEnd, benchmark, verdict } from './support/benchmark.mjs';
import { DEMO, startService } from './support/service.mjs';
import { quantile } from './support/statistics.mjs';

const MOST = 2;
/** A p99 that is not this much longer, in milliseconds, is not noticed, whatever its ratio to a very small one. */
const UNNOTICED = 20;
/** Milliseconds that a picture takes: the queue is full all the time. */
const PICTURE_MS = 1000;
/** Runs under a name server that never answers. */
const UNDER_SILENCE = 'BENCH_SILENT_NAMES';
const SILENT_ADDRESS = '127.0.0.53';

const { seconds, way } = readArguments('An honest caller beside a hostile one.', {
  seconds: { about: 'of each way, and of the honest caller alone before each', default: 20 },
  way: { about: `only this one: ${WAYS.join(', ')}`, default: '' },
});

const silence = process.env[UNDER_SILENCE];
if (silence === undefined && process.geteuid?.() === 0) process.exit(await runUnderSilence());

await benchmark(async () => {
  const ways = WAYS.filter((name) => !way || name === way).filter(
    (name) => silence || name !== 'names that hang',
  );
  if (ways.length === 0) throw new Error(`Expected one of ${WAYS.join(', ')} for --way but received ${way}`);
  if (!silence)
    console.log('Names that hang are not measured: that takes root, and a name server that is silent');
  if (silence) await silentNameServer();

  console.log(`Ratio of p99 beside him to p99 alone (milliseconds alone in brackets)`);
  let met = true;
  for (const name of ways) {
    // A service of his own for each: what one way leaves behind is not the next one's.
    const { alone, beside, answers } = await measure(name);
    console.log(`\n${name}: he was answered ${[...answers].map(([what, n]) => `${n} x ${what}`).join(', ')}`);
    for (const route of ROUTES) {
      const [before, after] = [alone, beside].map(({ took }) => quantile(took.get(route) ?? [], 0.99));
      const failed = beside.failed.get(route) ?? [];
      const fair = failed.length === 0 && (after <= MOST * before || after <= before + UNNOTICED);
      met &&= fair;
      const figures = `${(after / before).toFixed(1)} (${before.toFixed(1)} -> ${after.toFixed(1)} ms)`;
      const failures = failed.length > 0 ? `, ${failed.length} FAILED: ${failed.at(-1)?.slice(0, 160)}` : '';
      console.log(`  ${route.padEnd(18)} ${figures.padEnd(28)}${fair ? '' : 'UNFAIR'}${failures}`);
    }
  }
  return verdict(`p99 beside him <= ${MOST} times p99 alone, or + ${UNNOTICED} ms; nothing fails`, met);
});

/** @param {string} name of a way */
async function measure(name) {
  const keys = ['honest', 'hostile', 'reader'].map((owner) => ({
    name: owner,
    sha256: createHash('sha256').update(owner).digest('hex'),
    scopes: owner === 'reader' ? ['read'] : ['draw', 'read', 'users'],
  }));
  const preload = join(import.meta.dirname, 'support/quick.engine.preload.cjs');
  process.env.SD_PICTURE_MS = String(PICTURE_MS);
  const service = await startService(
    {
      ...{ ...DEMO, API_KEYS: JSON.stringify(keys), LOG_LEVEL: 'info' },
      WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 'a').toString('base64')}`,
      ...{ WEBHOOK_URL_ALLOW: '127.0.0.0/8,localhost', REFERENCE_URL_ALLOW: '127.0.0.0/8' },
      // He keeps to the default himself; the honest caller measures as fast as he can.
      ...{ RATE_LIMIT_PER_KEY: '0', QUEUE_LIMIT: '300', MAX_PIXELS: '2097152' },
    },
    { nodeArguments: ['--require', preload], headers: { authorization: 'Bearer honest' } },
  );
  const honest = await honestCaller(service.url, 'honest');
  await honest.walk(2); // opens connections, compiles
  const alone = await honest.walk(seconds);

  const workerData = { url: service.url, secret: 'hostile', reader: 'reader', way: name };
  const hostile = new Worker(new URL('./neighbours/hostile.mjs', import.meta.url), { workerData });
  await once(hostile, 'message');
  await honest.walk(2); // he gets going
  const beside = await honest.walk(seconds);
  const answer = once(hostile, 'message');
  hostile.postMessage('end');
  const [answers] = /** @type {[Map<string, number>]} */ (await answer);
  await honest.leave();
  await service.stop();
  return { alone, beside, answers };
}

/** This script again, in a mount name space where the only name server never answers. @returns {Promise<number>} */
async function runUnderSilence() {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'));
  const file = join(folder, 'resolv.conf');
  await writeFile(file, `nameserver ${SILENT_ADDRESS}\n`);
  const shell = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
  const command = ['-m', 'sh', '-c', shell, file, process.execPath, ...process.argv.slice(1)];
  const env = { ...process.env, [UNDER_SILENCE]: SILENT_ADDRESS };
  const { status } = spawnSync('unshare', command, { stdio: 'inherit', env });
  await rm(folder, { recursive: true });
  return status ?? 1;
}

async function silentNameServer() {
  const socket = createSocket('udp4').bind(53, SILENT_ADDRESS);
  await once(socket, 'listening');
  atEnd(() => once(socket.close(), 'close'));
}
