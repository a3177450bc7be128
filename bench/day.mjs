/**
 * A day of 1,000 pictures an hour, in fast motion: the whole service, but for the engine, which tells its steps at once.
 * What is kept of the jobs takes memory, and room in the file or in Redis; meanwhile the service says that it lives.
 */
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { readArguments } from './support/arguments.mjs';
import { atEnd, benchmark, temporaryFolder, verdict } from './support/benchmark.mjs';
import { observe, residentMb } from './support/observe.mjs';
import { createBucket, RedisServer, startS3Gateway } from './support/real.servers.mjs';
import { DEMO, startService } from './support/service.mjs';
import { quantile } from './support/statistics.mjs';

/** What the API process may hold more of each finished job, in KB of live heap. */
const TARGET_HEAP_KB = 1;
/** Jobs that wait at a time. */
const WAITING = 200;

const { jobs, steps, redis } = readArguments('A day of jobs in fast motion, all of them kept.', {
  jobs: { about: 'jobs of the day', default: 24_000 },
  steps: { about: 'sampling steps of each, all of them told', default: 50 },
  redis: { about: 'keep them in a Redis and the pictures in a bucket, else in files', default: false },
});

await benchmark(async () => {
  const folder = await temporaryFolder();
  const server = redis ? await startShared() : undefined;
  const service = await startService(
    { ...DEMO, ...server?.variables },
    {
      folder,
      ipc: true,
      nodeArguments: [
        '--expose-gc',
        ...['--require', join(import.meta.dirname, 'heap.probe.cjs')],
        ...['--require', join(import.meta.dirname, 'support/quick.engine.preload.cjs')],
      ],
    },
  );
  const options = { prompt: 'a fox on a blue background', size: '64x64', num_inference_steps: steps };

  const measure = async () => {
    service.child.send('memory');
    const [{ heapUsed }] = await once(service.child, 'message');
    const kept = server ? await usedMb(server.url) : await sizeOf(folder);
    return { heap: heapUsed / 2 ** 20, rss: await residentMb(service.child.pid), kept };
  };
  /** @param {number} number */
  const run = async (number) => {
    for (let submitted = 0; submitted < number;) {
      const room = WAITING - (await waiting(service));
      const some = Math.min(room, number - submitted);
      if (some <= 0) await sleep(20);
      await Promise.all(
        Array.from({ length: Math.max(0, some) }, () => service.submit('generations', options)),
      );
      submitted += Math.max(0, some);
    }
    while ((await waiting(service)) > 0) await sleep(50);
  };

  await run(Math.min(500, jobs)); // caches and pools fill
  const before = await measure();
  const began = performance.now();
  const { latencies } = await observe(service, run(jobs));
  const seconds = (performance.now() - began) / 1000;
  await sleep(3000); // the last ones are tidied
  const after = await measure();

  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(latencies, share));
  const where = redis ? 'Redis' : 'the file';
  console.log(`${jobs} jobs of ${steps} steps in ${seconds.toFixed(0)} s, kept in ${where}`);
  for (const [name, what] of /** @type {const} */ ([
    ['heap', 'live heap of the API'],
    ['rss', 'RSS of the API'],
    ['kept', where],
  ])) {
    const each = (1024 * (after[name] - before[name])) / jobs;
    console.log(
      `${what}: ${before[name].toFixed(1)} -> ${after[name].toFixed(1)} MB, ${each.toFixed(2)} KB a job`,
    );
  }
  console.log(
    `GET /health/live: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms`,
  );
  const heap = (1024 * (after.heap - before.heap)) / jobs;
  // As fast as it goes, all cores are busy: how late health is then is told, and no target.
  return verdict(`heap <= ${TARGET_HEAP_KB} KB a job`, heap <= TARGET_HEAP_KB);
});

/** @param {import('./support/service.mjs').Service} service */
async function waiting(service) {
  const { body } = await service.get('/metrics');
  const counts = [...body.toString().matchAll(/^image_jobs\{state="(?:queued|running)"\} (\d+)$/gm)];
  if (counts.length !== 2) throw new Error('The metrics do not tell how many jobs there are');
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Where jobs are shared, pictures are in a bucket. */
async function startShared() {
  const [server, gateway] = [await RedisServer.start(), await startS3Gateway()];
  atEnd(() => Promise.all([server.kill(), gateway.stop()]));
  return { url: server.url, variables: { REDIS_URL: server.url, ...(await createBucket(gateway)) } };
}

/** Megabytes that the data in Redis take. @param {string} url */
async function usedMb(url) {
  const client = new Redis(url);
  const memory = await client.info('memory');
  client.disconnect();
  return Number(/^used_memory:(\d+)/m.exec(memory)?.[1]) / 2 ** 20;
}

/** Megabytes of the jobs' file and its log. @param {string} folder */
async function sizeOf(folder) {
  let bytes = 0;
  for (const name of ['jobs.db', 'jobs.db-wal'])
    bytes += (await stat(join(folder, name)).catch(() => ({ size: 0 }))).size;
  return bytes / 2 ** 20;
}
