/**
 * A rolling upgrade under load, as Kubernetes does it: one process after the other is started, awaited and then told to
 * end, first the APIs behind their balancer, then the workers. Nothing fails and nothing is lost. Engines are stand-ins;
 * Redis, the bucket and the service are real.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { atEnd, benchmark, verdict } from '../bench/support/benchmark.mjs';
import { EngineNews } from '../bench/support/engine.news.mjs';
import { createBucket, RedisServer, startS3Gateway } from '../bench/support/real.servers.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';

const PRELOAD = join(import.meta.dirname, '../bench/support/quick.engine.preload.cjs');
const EACH = 2;
const CALLERS = 8;
const PICTURE_MS = '400';
/** From a process being told to end until the balancer sends it nothing new, in milliseconds. */
const LAG = 2_000;
const PATIENCE = 60_000;

const { rounds } = readArguments('A rolling upgrade of APIs and workers under load.', {
  rounds: { about: 'how often all are replaced', default: 2 },
});

/** @typedef {import('../bench/support/service.mjs').Service} Service */

/** Callers that keep their connections and try nothing twice: half wait for the image, half ask for it. */
class Load {
  over = false;
  failed = 0;
  /** @type {Set<string>} */
  jobs = new Set();
  /** @type {Map<string, number>} */
  answers = new Map();

  /** @param {string} url */
  constructor(url) {
    this.url = url;
  }

  async run() {
    await Promise.all(Array.from({ length: CALLERS }, (_, n) => this.call(n % 2 === 0, `caller-${n}`)));
  }

  /** @param {boolean} waits @param {string} user */
  async call(waits, user) {
    while (!this.over) {
      const body = JSON.stringify({ prompt: 'a fox', size: '64x64', num_inference_steps: 4, user });
      const headers = { 'content-type': 'application/json', ...(waits ? {} : { prefer: 'respond-async' }) };
      const made = await this.ask('/v1/images/generations', waits ? 200 : 202, {
        method: 'POST',
        body,
        headers,
      });
      if (made) {
        const { id } = /** @type {{ id: string }} */ (JSON.parse(made));
        this.jobs.add(id);
        for (let ended = waits; !ended && !this.over;) {
          await sleep(250);
          const job = await this.ask(`/v1/jobs/${id}`, 200);
          ended = !job || !/"state":"(queued|running)"/.test(job);
        }
      }
      await sleep(200);
    }
  }

  /** Resolves to the body; undefined: it is not as expected. @param {string} path @param {number} expected @param {RequestInit} [init] */
  async ask(path, expected, init) {
    /** @type {string} */
    let what = '';
    try {
      const response = await fetch(this.url + path, init);
      const body = await response.text();
      what = String(response.status);
      if (response.status === expected) return body;
      console.log(`  ${path}: ${what} ${body.slice(0, 200)}`);
      this.failed++;
    } catch (error) {
      const { message, cause } = /** @type {Error} */ (error);
      what = cause instanceof Error ? cause.message : message;
      console.log(`  ${path}: ${what}`);
      this.failed++;
    } finally {
      this.answers.set(what, (this.answers.get(what) ?? 0) + 1);
    }
    return undefined;
  }
}

await benchmark(async () => {
  const gateway = await startS3Gateway();
  atEnd(() => gateway.stop());
  const redis = await RedisServer.start();
  atEnd(() => redis.kill());
  const news = new EngineNews();
  const shared = {
    ...{ ...DEMO, LOG_LEVEL: 'debug', REDIS_URL: redis.url, SD_PICTURE_MS: PICTURE_MS, SHUTDOWN_DELAY: '5' },
    ...(await createBucket(gateway)),
  };
  const options = {
    nodeArguments: ['--require', PRELOAD],
    onLine: (/** @type {string} */ line) => news.read(line),
  };
  const start = async (/** @type {'api' | 'worker'} */ ROLE) => {
    const service = await startService({ ...shared, ROLE }, { ...options, ready: ROLE === 'worker' });
    while ((await service.get('/health/ready')).status !== 200) await sleep(100);
    return service;
  };
  const [apis, workers] = [
    [await start('api'), await start('api')],
    [await start('worker'), await start('worker')],
  ];
  const balancer = await balance(apis);

  const load = new Load(balancer.url);
  const begun = performance.now();
  const working = load.run();
  let replaced = 0;
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < EACH; n++, replaced++) {
      const [old] = apis;
      apis.push(await start('api'));
      await end(old, async () => {
        await sleep(LAG);
        apis.shift();
      });
    }
    for (let n = 0; n < EACH; n++, replaced++) {
      const old = /** @type {Service} */ (workers.shift());
      workers.push(await start('worker'));
      await end(old);
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  load.over = true;
  await working;

  const again = [...load.jobs].filter((id) => (news.drawn.get(id) ?? 0) > 1).length;
  const lost = await lostOf(load.jobs, apis[0]);
  console.log(`\n${replaced} processes replaced in ${seconds.toFixed(0)} s, ${load.jobs.size} jobs accepted`);
  console.log(`  answers: ${[...load.answers].map(([what, n]) => `${n} ${what}`).join(', ')}`);
  console.log(`  jobs not succeeded: ${lost}; drawn more than once: ${again}`);
  return verdict('0 requests failed, 0 jobs lost or drawn twice', load.failed === 0 && lost + again === 0);
});

/** Sends each new connection to the next of these. @param {Service[]} targets */
async function balance(targets) {
  let turn = 0;
  const server = createServer((near) => {
    const target = targets[turn++ % targets.length];
    const far = connect(Number(new URL(target.url).port), '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      one.pipe(other);
      one.on('error', () => other.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => Promise.resolve(void server.close()));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}` };
}

/** @param {Service} service @param {() => Promise<void>} [meanwhile] */
async function end({ child }, meanwhile = () => Promise.resolve()) {
  const exit = once(child, 'exit');
  child.kill();
  await meanwhile();
  const [code] = await exit;
  if (code !== 0) throw new Error(`A process ended with ${code}`);
}

/** @param {Set<string>} ids @param {Service} api */
async function lostOf(ids, api) {
  const until = performance.now() + PATIENCE;
  let lost = 0;
  for (const id of ids) {
    let job = await api.job(id).catch(() => undefined);
    while (job && ['queued', 'running'].includes(job.state) && performance.now() < until) {
      await sleep(100);
      job = await api.job(id).catch(() => undefined);
    }
    if (job?.state !== 'succeeded') lost++;
  }
  return lost;
}
