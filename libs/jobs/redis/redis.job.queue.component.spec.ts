import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { eventually } from '../../../test/support/eventually';
import { draft } from '../../../test/support/jobs';
import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import type { JobDraft, JobRecord } from '../job.record';
import type { JobLease } from '../job.queue';
import { type OpenedQueue, queueContract, rescueIn } from '../job.queue.contract';
import { type OpenedRecords, rescuerContract } from '../rescuer.contract';
import { cancel, giveBack, start } from '../job.transitions';
import { RedisJobEvents } from './redis.job.events';
import { RedisConnection } from './redis.connection';
import { RedisJobQueue } from './redis.job.queue';
import type { RedisJobQueueOptions } from './redis.line';
import { RedisJobStore } from './redis.job.store';

/** A process that takes one job, begins it and then only holds it. */
const HOLDER = `
const { RedisConnection } = require('./libs/jobs/redis/redis.connection');
const { RedisJobQueue } = require('./libs/jobs/redis/redis.job.queue');
const { RedisJobStore } = require('./libs/jobs/redis/redis.job.store');
const { start } = require('./libs/jobs/job.transitions');
const redis = new RedisConnection(process.argv[1]);
const store = new RedisJobStore(redis);
const queue = new RedisJobQueue(redis, store);
(async () => {
  await queue.start();
  const lease = await queue.take(new AbortController().signal);
  await store.update(lease.id, start(Date.now()));
  process.stdout.write(lease.id);
})();
`;

describeWith(REDIS_SERVER, `${RedisJobQueue.name} on a real server`, () => {
  let server: RedisServer;
  let closing: (() => Promise<void>)[];

  beforeEach(async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    jest.spyOn(Logger.prototype, 'log').mockImplementation();
    server = await RedisServer.start();
    closing = [];
  });
  afterEach(async () => {
    for (const close of closing.reverse()) await close();
    await server.stop();
    jest.restoreAllMocks();
  });

  /** What one process has. */
  function open(options?: RedisJobQueueOptions) {
    const redis = new RedisConnection(server.url);
    const store = new RedisJobStore(redis);
    const queue = new RedisJobQueue(redis, store, options);
    closing.push(async () => {
      await queue.close();
      await redis.close();
    });
    return { redis, store, queue };
  }

  async function accept(store: RedisJobStore, overrides?: Partial<JobDraft>): Promise<JobRecord> {
    const acceptance = await store.accept(draft(overrides), { limit: 1_000 });
    if (acceptance.outcome !== 'accepted') throw new Error(acceptance.outcome);
    return acceptance.job;
  }

  queueContract(RedisJobQueue.name, () => Promise.resolve(opened()));
  rescuerContract(RedisJobQueue.name, () => Promise.resolve(opened()));

  /** Jobs of a dead process come back in two seconds here, so that nobody waits for them. */
  function opened(): OpenedQueue & OpenedRecords {
    const { redis, store, queue } = open({ lockDuration: 1_000, stalledInterval: 300 });
    const events = new RedisJobEvents(redis);
    const close = async () => {
      await events.close();
      await queue.close();
      await redis.close();
    };
    const reopen = async () => {
      await close();
      return opened();
    };
    return { store, queue, events, close, reopen };
  }

  const take = async (queue: RedisJobQueue): Promise<JobLease> =>
    (await queue.take(new AbortController().signal))!;
  const rescue = async (store: RedisJobStore, id: string) => rescueIn(store)((await store.find(id))!);

  it('should hand out the job of a killed process within 30 seconds, queued again', async () => {
    const { store, queue } = open();
    const job = await accept(store);
    await queue.add(job);
    const child: ChildProcess = spawn(
      process.execPath,
      ['-r', './test/support/typescript.js', '-e', HOLDER, server.url],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [held] = (await once(child.stdout!, 'data')) as [Buffer];
    expect(held.toString()).toBe(job.id);
    child.kill('SIGKILL');
    const killedAt = performance.now();
    await queue.start(rescueIn(store));
    const lease = await take(queue);
    expect(performance.now() - killedAt).toBeLessThan(30_000);
    expect(lease.id).toBe(job.id);
    await rescue(store, job.id);
    expect(await store.find(job.id)).toMatchObject({ state: 'queued', attempts: 1 });
    await lease.done();
  }, 60_000);

  it('should keep a job that takes longer than its lock', async () => {
    const [one, two] = [open({ lockDuration: 1_000 }), open({ lockDuration: 1_000 })];
    await one.queue.add(await accept(one.store));
    const lease = await take(one.queue);
    expect(await two.queue.take(AbortSignal.timeout(8_000))).toBeUndefined();
    expect(lease.lost.aborted).toBe(false);
    await lease.done();
  }, 20_000);

  it('should tell a process that its job may be another’s by now', async () => {
    const { redis, store, queue } = open({ lockDuration: 900 });
    const job = await accept(store);
    await queue.add(job);
    const lease = await take(queue);
    await redis.client.set(`{sdxl}:queue:${job.id}:lock`, 'another');
    await Promise.race([once(lease.lost, 'abort'), sleep(5_000)]);
    expect(lease.lost.aborted).toBe(true);
    await lease.done();
    await lease.release();
  }, 20_000);

  it.each(['active', 'wait', 'prioritized'])(
    'should keep a job whose lock ran out while nobody has taken it, found among the %s ones',
    async (where) => {
      const { redis, store, queue } = open({ lockDuration: 900 });
      const job = await accept(store);
      await queue.add(job);
      const lease = await take(queue);
      const key = (name: string) => `{sdxl}:queue:${name}`;
      const moved = redis.client.multi().del(key(`${job.id}:lock`));
      if (where !== 'active') moved.lrem(key('active'), 1, job.id);
      if (where === 'wait') moved.rpush(key('wait'), job.id);
      if (where === 'prioritized') moved.zadd(key('prioritized'), 1, job.id);
      await moved.exec();
      await eventually(async () => {
        expect(await redis.client.exists(key(`${job.id}:lock`))).toBe(1);
        expect(await redis.client.lrange(key('active'), 0, -1)).toEqual([job.id]);
      });
      expect(lease.lost.aborted).toBe(false);
      await lease.done();
      expect(await redis.client.exists(key(job.id))).toBe(0);
    },
    20_000,
  );

  it('should hand a job that comes to its own process again to the lease that is there', async () => {
    const { redis, store, queue } = open();
    const job = await accept(store);
    await queue.add(job);
    const lease = await take(queue);
    const key = (name: string) => `{sdxl}:queue:${name}`;
    await redis.client
      .multi()
      .del(key(`${job.id}:lock`))
      .lrem(key('active'), 1, job.id)
      .rpush(key('wait'), job.id)
      .exec();
    const next = take(queue);
    await eventually(async () => expect(await redis.client.llen(key('wait'))).toBe(0));
    const other = await accept(store);
    await queue.add(other);
    expect((await next).id).toBe(other.id);
    expect(lease.lost.aborted).toBe(false);
    await lease.done();
    expect(await redis.client.exists(key(job.id))).toBe(0);
  }, 20_000);

  it('should go on when Redis was away', async () => {
    const { redis, store, queue } = open();
    await queue.start(rescueIn(store));
    const taken = take(queue);
    await redis.run('read', (client) => client.ping());
    await server.kill();
    await sleep(500);
    await server.restart();
    while (redis.client.status !== 'ready') await sleep(20);
    const job = await accept(store);
    await queue.add(job);
    const lease = await taken;
    expect(lease.id).toBe(job.id);
    await lease.done();
  }, 30_000);

  it('should start while Redis is away, and find the jobs when it comes', async () => {
    await server.kill();
    const { store, redis, queue } = open();
    await queue.start(rescueIn(store));
    const taken = take(queue);
    await server.restart();
    while (redis.client.status !== 'ready') await sleep(20);
    const job = await accept(store);
    await queue.add(job);
    expect((await taken).id).toBe(job.id);
  }, 30_000);

  it('should end a waiting take and itself promptly', async () => {
    const { queue } = open();
    const abort = new AbortController();
    const takes = [queue.take(abort.signal), queue.take(new AbortController().signal)];
    await sleep(300);
    const start = performance.now();
    abort.abort();
    expect(await takes[0]).toBeUndefined();
    expect(performance.now() - start).toBeLessThan(1_000);
    await queue.close();
    expect(await takes[1]).toBeUndefined();
    expect(performance.now() - start).toBeLessThan(3_000);
  });

  it('should not keep a job that came for a take that was given up', async () => {
    const [one, two] = [open(), open()];
    expect(await one.queue.take(AbortSignal.timeout(300))).toBeUndefined();
    const job = await accept(one.store);
    await one.queue.add(job);
    expect((await take(two.queue)).id).toBe(job.id);
  });

  it('should add what was accepted but not queued, in order, however many processes find it', async () => {
    const [one, two] = [open(), open()];
    const jobs: JobRecord[] = [];
    for (let n = 0; n < 5; n++) jobs.push(await accept(one.store, { caller: `caller ${n}` }));
    await one.queue.add(jobs[4]);
    await one.queue.remove(jobs[4]);
    await Promise.all([one.queue.start(rescueIn(one.store)), two.queue.start(rescueIn(two.store))]);
    for (const { id } of jobs) {
      const lease = await take(one.queue);
      expect(lease.id).toBe(id);
      await one.store.update(id, start(Date.now()));
      await lease.done();
    }
    expect(await two.queue.take(AbortSignal.timeout(500))).toBeUndefined();
  });

  it('should queue a running job again that BullMQ has forgotten, and leave a held one alone', async () => {
    const { store, queue } = open();
    const [lost, held] = [await accept(store), await accept(store)];
    await queue.add(held);
    const lease = await take(queue);
    for (const { id } of [lost, held]) await store.update(id, start(Date.now()));
    await queue.start(rescueIn(store));
    expect((await take(queue)).id).toBe(lost.id);
    expect(await store.find(lost.id)).toMatchObject({ state: 'queued', attempts: 1 });
    expect(await store.find(held.id)).toMatchObject({ state: 'running' });
    await lease.done();
  });

  it('should keep the fair order while the virtual time grows past what priorities of BullMQ can tell', async () => {
    const { store, queue } = open();
    const cost = 900_000;
    const busy: JobRecord[] = [];
    for (let n = 0; n < 6; n++) {
      busy.push(await accept(store, { caller: 'busy', cost }));
      await queue.add(busy[n]);
    }
    const begin = async (expected: JobRecord) => {
      const lease = await take(queue);
      expect(lease.id).toBe(expected.id);
      await store.update(lease.id, start(Date.now()));
      return lease;
    };
    const end = async (lease: JobLease) => {
      await store.update(lease.id, cancel('Cancelled', Date.now()));
      await lease.done();
    };
    for (const job of busy.slice(0, 3)) await end(await begin(job));
    // Starts at 1,800,000: before what is left of the busy caller.
    const late = await accept(store, { caller: 'late', cost: 1 });
    await queue.start(rescueIn(store));
    await queue.add(late);
    await end(await begin(late));
    const given = await begin(busy[3]);
    await store.update(given.id, giveBack(1, Date.now()));
    await given.release();
    for (const job of busy.slice(3)) await end(await begin(job));
  });

  it('should hand out what a version without accounts queued, also while that one is still there', async () => {
    const { redis, store, queue } = open();
    const old = async (start: number) => {
      const job = await accept(store, { caller: 'ann' });
      const [member] = await redis.client.zrange('{sdxl}:waiting:', '-1', '-1');
      await redis.client
        .multi()
        .srem('{sdxl}:accounts', '')
        .zrem('{sdxl}:waiting:', member)
        .hdel(`{sdxl}:job:${job.id}`, 'account')
        .zadd('{sdxl}:waiting', start, member.split(':').slice(0, -1).join(':'))
        .exec();
      return job;
    };
    const [first, second, gone] = [await old(0), await old(1), await old(2)];
    const fresh = await accept(store, { account: 'key:new' });
    expect((await store.queued()).map(({ id }) => id)).toEqual([fresh.id]);
    await queue.start(rescueIn(store));
    expect(await redis.client.exists('{sdxl}:waiting')).toBe(0);
    expect((await store.queued()).map(({ id }) => id)).toEqual(
      [first, fresh, second, gone].map(({ id }) => id),
    );
    // The old version knows neither the new set nor how to take a job out of it.
    await redis.client
      .multi()
      .zrem('{sdxl}:state:queued', gone.id)
      .zadd('{sdxl}:state:cancelled', gone.place.seq, gone.id)
      .exec();
    await queue.remove(gone);
    for (const { id } of [first, fresh, second]) {
      const lease = await take(queue);
      expect(lease.id).toBe(id);
      await store.update(id, start(Date.now()));
      await lease.done();
    }
    expect(await queue.take(AbortSignal.timeout(1_500))).toBeUndefined();
    expect(await store.queued()).toEqual([]);
  });

  it('should hand out the next jobs in their order to processes that take at once', async () => {
    const one = open();
    const many: JobRecord[] = [];
    for (let n = 0; n < 12; n++) {
      many.push(await accept(one.store, { account: 'key:busy', caller: `user ${n}`, cost: 10 }));
      await one.queue.add(many[n]);
    }
    const quiet: JobRecord[] = [];
    for (let n = 0; n < 4; n++) {
      quiet.push(await accept(one.store, { account: 'key:quiet', cost: 10 }));
      await one.queue.add(quiet[n]);
    }
    const leases = await Promise.all([one, open(), open(), open()].map(({ queue }) => take(queue)));
    const expected = [many[0], quiet[0], many[1], quiet[1]].map(({ id }) => id);
    expect(leases.map(({ id }) => id).toSorted()).toEqual(expected.toSorted());
    for (const lease of leases) await lease.release();
    expect((await take(one.queue)).id).toBe(many[0].id);
  });
});
