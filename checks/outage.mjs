/**
 * Redis and the bucket go away under load and come back: what becomes of the jobs and of the pictures that are drawn
 * meanwhile, and how soon it goes on. One API and two workers, whose engines are stand-ins; all else is real.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { readArguments } from '../bench/support/arguments.mjs';
import { atEnd, benchmark, verdict } from '../bench/support/benchmark.mjs';
import { EngineNews } from '../bench/support/engine.news.mjs';
import { createBucket, RedisServer, startS3Gateway, TcpProxy } from '../bench/support/real.servers.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';

const PRELOAD = join(import.meta.dirname, '../bench/support/quick.engine.preload.cjs');
const WORKERS = 2;
const CALLERS = 6;
const PICTURE_MS = '400';
/** Seconds under load before it, and for the rest to end after it. */
const BEFORE = 5;
const PATIENCE = 120;
/** Until submissions are answered and pictures stored again, in seconds: retries wait up to half a minute. */
const TARGET_BACK = 35;

const { seconds, only } = readArguments('Redis and the bucket away under load.', {
  seconds: { about: 'how long they are away', default: 60 },
  only: { about: 'one of redis-away, redis-silence, redis-failover, bucket-away', default: '' },
});

/** @typedef {Awaited<ReturnType<typeof startAll>>} Fleet */

/** What happens; resolves to how it is undone. @type {Record<string, (fleet: Fleet) => Promise<() => void>>} */
const OUTAGES = {
  'redis-away': ({ toRedis }) => Promise.resolve(refuse(toRedis)),
  'redis-silence': ({ toRedis }) => {
    toRedis.silence({ later: true });
    return Promise.resolve(() => toRedis.mend());
  },
  'redis-failover': async ({ toRedis, redis, replica }) => {
    const [first, second] = [new Redis(redis.url), new Redis(replica.url)];
    await second.replicaof('NO', 'ONE');
    await first.replicaof('127.0.0.1', new URL(replica.url).port);
    toRedis.leadTo(Number(new URL(replica.url).port));
    first.disconnect();
    second.disconnect();
    return () => {};
  },
  'bucket-away': ({ toBucket }) => Promise.resolve(refuse(toBucket)),
};

/** @param {Fleet['toRedis']} proxy */
function refuse(proxy) {
  proxy.cut();
  return () => proxy.mend();
}

await benchmark(async () => {
  let well = true;
  for (const name of only ? [only] : Object.keys(OUTAGES)) well = (await endure(name)) && well;
  return verdict(`0 lost, 0 failed, 0 thrown away; it goes on within ${TARGET_BACK} s`, well);
});

async function startAll() {
  const gateway = await startS3Gateway();
  atEnd(() => gateway.stop());
  const [redis, replica] = [await RedisServer.start(), await RedisServer.start()];
  atEnd(() => Promise.all([redis.kill(), replica.kill()]));
  const follower = new Redis(replica.url);
  await follower.replicaof('127.0.0.1', new URL(redis.url).port);
  follower.disconnect();
  const toRedis = await TcpProxy.to(Number(new URL(redis.url).port));
  const toBucket = await TcpProxy.to(Number(new URL(gateway.endpoint).port));
  atEnd(() => Promise.resolve([toRedis, toBucket].forEach((proxy) => proxy.close())));

  const news = new EngineNews();
  const shared = {
    ...DEMO,
    ...{ LOG_LEVEL: 'debug', REDIS_URL: `redis://127.0.0.1:${toRedis.port}`, SD_PICTURE_MS: PICTURE_MS },
    ...(await createBucket(gateway)),
    S3_ENDPOINT: `http://127.0.0.1:${toBucket.port}`,
  };
  const options = {
    nodeArguments: ['--require', PRELOAD],
    onLine: (/** @type {string} */ line) => news.read(line),
  };
  /** @type {import('../bench/support/service.mjs').Service[]} */
  const workers = [];
  for (let n = 0; n < WORKERS; n++) workers.push(await startService({ ...shared, ROLE: 'worker' }, options));
  // It has no pipeline to wait for, but workers.
  const api = await startService({ ...shared, ROLE: 'api' }, { ...options, ready: false });
  while ((await api.get('/health/ready')).status !== 200) await sleep(100);
  const stop = async () => {
    for (const { child } of [api, ...workers]) {
      child.kill();
      await once(child, 'exit');
    }
  };
  return { api, stop, news, redis, replica, toRedis, toBucket };
}

/**
 * @param {string} name
 * @returns {Promise<boolean>} all went as it should
 */
async function endure(name) {
  const fleet = await startAll();
  const { api, news } = fleet;
  const over = new AbortController();
  /** When each job was accepted. @type {Map<string, number>} */
  const accepted = new Map();
  /** Answers to submissions, by status. @type {Map<number, number>} */
  const answers = new Map();

  const call = async (/** @type {number} */ caller) => {
    for (let n = 0; !over.signal.aborted;) {
      const wanted = { prompt: 'a fox', size: '64x64', num_inference_steps: 4, user: `caller-${caller}` };
      const headers = { prefer: 'respond-async', 'idempotency-key': `${caller}-${n}` };
      const { status, body } = await api.ask('generations', wanted, headers);
      answers.set(status, (answers.get(status) ?? 0) + 1);
      if (status === 202) {
        n++;
        const { id } = /** @type {{ id: string }} */ (JSON.parse(body.toString()));
        accepted.set(id, performance.now());
      }
      await sleep(1000);
    }
  };
  const working = Promise.all(Array.from({ length: CALLERS }, (_, caller) => call(caller)));
  await sleep(1000 * BEFORE);
  const undo = await OUTAGES[name](fleet);
  await sleep(1000 * seconds);
  const drawnMeanwhile = news.drawn.size;
  undo();
  const undone = performance.now();
  while (news.drawn.size === drawnMeanwhile) await sleep(50);
  const drawsAgain = (performance.now() - undone) / 1000;
  await sleep(1000 * BEFORE);
  over.abort();
  await working;
  const acceptsAgain = Math.min(...[...accepted.values()].filter((at) => at > undone)) - undone;

  const until = performance.now() + 1000 * PATIENCE;
  /** @type {Map<string, number>} */
  const states = new Map();
  let again = 0;
  for (const id of accepted.keys()) {
    let job = await api.job(id).catch(() => undefined);
    while (job && ['queued', 'running'].includes(job.state) && performance.now() < until) {
      await sleep(100);
      job = await api.job(id).catch(() => undefined);
    }
    const state = job?.error ? `${job.state} (${job.error.code})` : (job?.state ?? 'lost');
    states.set(state, (states.get(state) ?? 0) + 1);
    if ((news.drawn.get(id) ?? 0) > 1) again++;
  }
  const list = (/** @type {Map<string | number, number>} */ counts) =>
    [...counts].map(([what, n]) => `${n} ${what}`).join(', ');
  console.log(`\n${name} for ${seconds} s`);
  console.log(`  ${accepted.size} jobs accepted: ${list(states)}; ${again} drawn more than once`);
  console.log(`  answers to submissions: ${list(answers)}`);
  console.log(
    `  after it: a submission accepted after ${(acceptsAgain / 1000).toFixed(1)} s, a picture drawn after ${drawsAgain.toFixed(1)} s`,
  );
  await fleet.stop();
  const soon = Math.max(acceptsAgain / 1000, drawsAgain) <= TARGET_BACK;
  return states.get('succeeded') === accepted.size && again === 0 && soon;
}
