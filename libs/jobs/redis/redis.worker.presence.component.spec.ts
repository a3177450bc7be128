import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import { RedisConnection } from './redis.connection';
import { RedisWorkerPresence } from './redis.worker.presence';

describeWith(REDIS_SERVER, RedisWorkerPresence.name, () => {
  let server: RedisServer;
  let redis: RedisConnection;
  beforeAll(async () => {
    server = await RedisServer.start();
    redis = new RedisConnection(server.url);
  });
  afterAll(async () => {
    await redis.close();
    await server.stop();
  });

  const worker = (id: string) => new RedisWorkerPresence<{ readonly devices: string[] }>(redis, id);

  it('should list what workers offer, the newest word of each, until they withdraw', async () => {
    const [one, two, api] = [worker('one'), worker('two'), worker('api')];
    expect(await api.list()).toEqual([]);
    await one.announce({ devices: [] });
    await one.announce({ devices: ['gpu'] });
    await two.announce({ devices: ['cpu'] });
    expect(await api.list()).toHaveLength(2);
    expect(await api.list()).toEqual(expect.arrayContaining([{ devices: ['gpu'] }, { devices: ['cpu'] }]));
    await one.withdraw();
    expect(await api.list()).toEqual([{ devices: ['cpu'] }]);
    await two.close();
    expect(await api.list()).toEqual([]);
  });

  it('should forget a worker that fell silent, and hear it when it speaks again', async () => {
    const [one, api] = [worker('one'), worker('api')];
    await one.announce({ devices: ['gpu'] });
    const ttl = await redis.client.pttl('{sdxl}:worker:one');
    expect(ttl).toBeGreaterThan(10_000);
    expect(ttl).toBeLessThanOrEqual(15_000);
    await redis.client.pexpire('{sdxl}:worker:one', 0);
    expect(await api.list()).toEqual([]);
    await one.announce({ devices: ['gpu'] });
    expect(await api.list()).toEqual([{ devices: ['gpu'] }]);
    await one.close();
  });

  it('should tell it again every few seconds', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'performance'] });
    const one = worker('one');
    await one.announce({ devices: ['gpu'] });
    await redis.client.del('{sdxl}:worker:one');
    jest.advanceTimersByTime(5_000);
    jest.useRealTimers();
    await redis.client.ping();
    expect(await one.list()).toEqual([{ devices: ['gpu'] }]);
    await one.close();
  });
});
