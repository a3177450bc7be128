import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import type { JobEvent, StoredEvent } from '../job.events';
import { eventsContract } from '../job.events.contract';
import { RedisConnection } from './redis.connection';
import { RedisJobEvents } from './redis.job.events';

const running: JobEvent = { type: 'state', state: 'running' };

describeWith(REDIS_SERVER, `${RedisJobEvents.name} on a real server`, () => {
  let server: RedisServer;
  let closing: (() => Promise<void>)[];

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  beforeEach(() => {
    closing = [];
  });
  afterEach(async () => {
    for (const close of closing) await close();
    jest.restoreAllMocks();
  });
  afterAll(() => server.stop());

  function open() {
    const redis = new RedisConnection(server.url);
    const events = new RedisJobEvents(redis);
    closing.push(
      () => events.close(),
      () => redis.close(),
    );
    return { redis, events };
  }

  eventsContract(RedisJobEvents.name, async () => {
    const redis = new RedisConnection(server.url);
    await redis.run('write', (client) => client.flushall());
    const events = new RedisJobEvents(redis);
    const close = async () => {
      await events.close();
      await redis.close();
    };
    return { events, close };
  });

  it('should carry events and the wish for previews from process to process', async () => {
    const [worker, api] = [open().events, open().events];
    const heard: StoredEvent[] = [];
    const leave = await api.subscribe('shared', (event) => heard.push(event), { previews: true });
    expect(await worker.previewsWanted('shared')).toBe(true);
    await worker.publish('shared', running);
    for (const end = Date.now() + 5_000; heard.length === 0 && Date.now() < end;) await sleep(5);
    expect(heard).toEqual(await api.read('shared'));
    leave();
    for (const end = Date.now() + 5_000; (await worker.previewsWanted('shared')) && Date.now() < end;)
      await sleep(5);
    expect(await worker.previewsWanted('shared')).toBe(false);
  });

  it('should hand the same event to all who watch in one process', async () => {
    const { events } = open();
    const heard: StoredEvent[] = [];
    for (let n = 0; n < 3; n++) await events.subscribe('watched', (event) => heard.push(event));
    await events.publish('watched', running);
    for (const end = Date.now() + 5_000; heard.length < 3 && Date.now() < end;) await sleep(5);
    expect(new Set(heard).size).toBe(1);
    expect(heard).toHaveLength(3);
  });

  it('should go on when Redis was away, and lose events meanwhile without a word to the job', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    jest.spyOn(Logger.prototype, 'log').mockImplementation();
    const { redis, events } = open();
    const heard: StoredEvent[] = [];
    await events.subscribe('job', (event) => heard.push(event));
    await server.kill();
    for (let n = 0; n < 3; n++) await expect(events.publish('job', running)).resolves.toBeUndefined();
    expect(warn).toHaveBeenCalledTimes(1);
    await expect(events.read('job')).rejects.toMatchObject({ code: 'storage_unavailable' });
    await expect(events.previewsWanted('job')).resolves.toBe(false);
    await server.restart();
    for (const end = Date.now() + 10_000; heard.length === 0 && Date.now() < end; await sleep(50))
      await events.publish('job', { type: 'state', state: 'succeeded' });
    expect(heard[0]).toMatchObject({ state: 'succeeded' });
    expect(redis.client.status).toBe('ready');
  }, 20_000);
});
