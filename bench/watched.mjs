/**
 * What watching costs: CPU time of an API process for each job, with traces sent to a collector and metrics scraped each
 * second, against neither. Two APIs take turns in front of one worker, whose engine is a stand-in.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from './support/arguments.mjs';
import { atEnd, benchmark, verdict } from './support/benchmark.mjs';
import { createBucket, OtlpReceiver, RedisServer, startS3Gateway } from './support/real.servers.mjs';
import { DEMO, startService } from './support/service.mjs';
import { quantile } from './support/statistics.mjs';

const PRELOAD = join(import.meta.dirname, 'support/quick.engine.preload.cjs');
const TARGET_MS = 10;
const PICTURE_MS = '20';
const CALLERS = 4;
const SCRAPE_MS = 1_000;
/** Of a tick of /proc/PID/stat, in milliseconds. */
const TICK = 10;

const { blocks, jobs } = readArguments('CPU time of an API a job, watched and not.', {
  blocks: { about: 'pairs of blocks', default: 10 },
  jobs: { about: 'in each block', default: 40 },
});

/** @typedef {import('./support/service.mjs').Service} Service */

await benchmark(async () => {
  const gateway = await startS3Gateway();
  atEnd(() => gateway.stop());
  const redis = await RedisServer.start();
  atEnd(() => redis.kill());
  const collector = await OtlpReceiver.start();
  atEnd(() => collector.stop());
  const shared = {
    ...{ ...DEMO, REDIS_URL: redis.url, SD_PICTURE_MS: PICTURE_MS },
    ...(await createBucket(gateway)),
  };
  const options = { nodeArguments: ['--require', PRELOAD] };
  const { OTEL_EXPORTER_OTLP_ENDPOINT } = collector.variables;
  const traced = { ...shared, OTEL_EXPORTER_OTLP_ENDPOINT };
  await startService({ ...shared, ROLE: 'worker' }, options);
  const plain = await startService({ ...shared, ROLE: 'api' }, { ready: false });
  const watched = await startService({ ...traced, ROLE: 'api' }, { ready: false });
  const timer = setInterval(() => void watched.get('/metrics').catch(() => {}), SCRAPE_MS);
  atEnd(() => Promise.resolve(clearInterval(timer)));
  // Not counted: it compiles.
  for (const api of [plain, watched]) await costOf(api);

  const differences = /** @type {number[]} */ ([]);
  const each = { plain: /** @type {number[]} */ ([]), watched: /** @type {number[]} */ ([]) };
  for (let block = 0; block < blocks; block++) {
    const order = block % 2 === 0 ? [plain, watched] : [watched, plain];
    const costs = /** @type {Map<Service, number>} */ (new Map());
    for (const api of order) costs.set(api, await costOf(api));
    const [off, on] = [plain, watched].map((api) => costs.get(api) ?? NaN);
    each.plain.push(off);
    each.watched.push(on);
    differences.push(on - off);
  }
  const row = (/** @type {number[]} */ values) => {
    const [median, least, most] = [0.5, 0, 1].map((share) => quantile(values, share).toFixed(2));
    return { 'median ms': median, 'least ms': least, 'most ms': most };
  };
  console.log(
    `\n${blocks} pairs of ${jobs} jobs; ${collector.requests.length} requests with spans, CPU a job:`,
  );
  console.table({ ...{ plain: row(each.plain), watched: row(each.watched) }, difference: row(differences) });
  if (collector.requests.length === 0) throw new Error('No span came');
  return verdict(`difference <= ${TARGET_MS} ms a job`, quantile(differences, 0.5) <= TARGET_MS);
});

/** Milliseconds of CPU time a job. @param {Service} api */
async function costOf(api) {
  const before = await cpuTime(api);
  let left = jobs;
  const call = async () => {
    while (left-- > 0)
      await api.draw('generations', { prompt: 'a fox', size: '64x64', num_inference_steps: 1 });
  };
  await Promise.all(Array.from({ length: CALLERS }, call));
  await sleep(1_500); // what is sent and scraped behind the replies
  return cpuTime(api).then((after) => (after - before) / jobs);
}

/** Of user and system, in milliseconds. @param {Service} api */
async function cpuTime({ child }) {
  const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK;
}
