import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import { TcpProxy } from '../../../test/support/tcp.proxy';
import type { JobRecord } from '../job.record';
import { RedisConnection } from './redis.connection';
import { RedisJobEvents } from './redis.job.events';
import { RedisJobQueue } from './redis.job.queue';
import { RedisJobStore } from './redis.job.store';

/** Milliseconds. An outage lasts longer than the lock and several looks for jobs that nobody works on. */
const TIMES = { lockDuration: 1_000, stalledInterval: 300 };
const OUTAGE = 3_000;

describeWith(REDIS_SERVER, 'Workers that cannot reach Redis for longer than a lock lasts', () => {
  let folder: string;
  let server: RedisServer;
  let proxy: TcpProxy;
  let desks: JobDesk[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redis-'));
    server = await RedisServer.start({ folder });
    proxy = await TcpProxy.to(Number(new URL(server.url).port));
    desks = [];
  });
  afterEach(async () => {
    for (const desk of desks) await desk.close();
    proxy.close();
    await server.stop();
    await rm(folder, { recursive: true });
  });

  function worker(url = server.url): JobDesk {
    const redis = new RedisConnection(url);
    const store = new RedisJobStore(redis);
    const queue = new RedisJobQueue(redis, store, TIMES);
    const desk = new JobDesk({}, undefined, {
      ...{ store, queue, events: new RedisJobEvents(redis) },
      close: () => redis.close(),
    });
    desks.push(desk);
    desk.dispatcher.onApplicationBootstrap();
    return desk;
  }

  const ended = (desk: JobDesk, { id }: JobRecord) =>
    eventually(() => desk.jobs.finished(id, AbortSignal.timeout(8_000)), 15_000);

  it.each(['during', 'after'])(
    'should store what is drawn %s the outage, once and in its first attempt',
    async (when) => {
      const one = worker();
      const job = await one.submit('patient');
      const drawing = await one.drawing();
      // Has nothing to do, so it would take the job at once.
      const idle = worker();
      await server.kill();
      await sleep(OUTAGE / 2);
      if (when === 'during') drawing.finish();
      await sleep(OUTAGE / 2);
      await server.restart();
      await eventually(() => one.store.check());
      if (when === 'after') {
        await sleep(OUTAGE);
        drawing.finish();
      }
      expect(await ended(one, job)).toMatchObject({ state: 'succeeded', attempts: 1, crashes: 0 });
      expect([...one.drawn, ...idle.drawn]).toEqual(['patient']);
      expect(one.storage.keys).toEqual([job.picture.key]);
      const next = await one.submit('next');
      (await Promise.race([one.drawing(), idle.drawing()])).finish();
      expect(await ended(one, next)).toMatchObject({ state: 'succeeded', attempts: 1 });
    },
    60_000,
  );

  it('should leave it to another that took it meanwhile, and write nothing', async () => {
    const cutOff = worker(`redis://127.0.0.1:${proxy.port}`);
    const job = await cutOff.submit('taken over');
    const drawing = await cutOff.drawing();
    const other = worker();
    proxy.cut();
    const second = await other.drawing();
    expect(drawing.listeners.signal?.aborted).toBe(false);
    proxy.mend();
    await eventually(() => {
      if (!drawing.listeners.signal?.aborted) throw new Error('It goes on');
    });
    second.finish();
    expect(await ended(other, job)).toMatchObject({ state: 'succeeded', attempts: 2, crashes: 0 });
    expect(cutOff.storage.keys).toEqual([]);
  }, 60_000);

  it('should refuse the end of the one whose job another took, should it be the first to be back', async () => {
    const cutOff = worker(`redis://127.0.0.1:${proxy.port}`);
    const job = await cutOff.submit('taken over');
    const drawing = await cutOff.drawing();
    const other = worker();
    proxy.cut();
    const second = await other.drawing();
    drawing.finish();
    await eventually(() => expect(cutOff.storage.keys).toEqual([job.picture.key]));
    proxy.mend();
    await eventually(() => cutOff.store.check());
    second.finish();
    const { result, ...record } = await ended(other, job);
    expect(record).toMatchObject({ state: 'succeeded', attempts: 2, crashes: 0 });
    expect(result?.key).toBe(job.picture.key);
    expect(cutOff.storage.keys).toEqual([job.picture.key]);
  }, 60_000);
});
