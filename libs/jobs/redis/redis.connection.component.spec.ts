import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { eventually } from '../../../test/support/eventually';
import { freePorts } from '../../../test/support/ports';
import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import { TcpProxy } from '../../../test/support/tcp.proxy';
import { RedisConnection } from './redis.connection';

const connections: RedisConnection[] = [];
function connect(url: string): RedisConnection {
  connections.push(new RedisConnection(url));
  return connections.at(-1)!;
}
const ping = (redis: RedisConnection) => redis.run('read', (client) => client.ping());

let warn: jest.SpyInstance;
beforeEach(() => {
  warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
  jest.spyOn(Logger.prototype, 'log').mockImplementation();
});
afterEach(async () => {
  await Promise.all(connections.splice(0).map((redis) => redis.close()));
  jest.restoreAllMocks();
});

describe(RedisConnection.name, () => {
  it('should refuse commands within seconds while Redis is away, say what to check and log it once', async () => {
    const [port] = await freePorts(1);
    const redis = connect(`redis://user:not-a-secret@127.0.0.1:${port}`);
    const start = performance.now();
    for (let attempt = 0; attempt < 3; attempt++) {
      const error = await ping(redis).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ name: 'ServiceError', code: 'storage_unavailable', retryAfter: 5 });
      expect((error as Error).message).toMatch(/check REDIS_URL/);
      expect((error as Error).message).not.toMatch(/not-a-secret/);
    }
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(warn).toHaveBeenCalledTimes(1);
    expect(String(warn.mock.calls)).not.toMatch(/not-a-secret/);
  });

  it('should not wait for a server that never answers', async () => {
    const silent: Server = createServer((socket) => socket.resume().on('error', () => undefined)).listen(
      0,
      '127.0.0.1',
    );
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const start = performance.now();
    await expect(ping(connect(`redis://127.0.0.1:${port}`))).rejects.toMatchObject({
      code: 'storage_unavailable',
    });
    expect(performance.now() - start).toBeLessThan(4_000);
    silent.close();
  });
});

describeWith(REDIS_SERVER, `${RedisConnection.name} on a real server`, () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  it('should work at once, and again when Redis is back', async () => {
    const redis = connect(server.url);
    expect(await ping(redis)).toBe('PONG');
    for (const outage of [1, 2]) {
      await server.kill();
      await expect(ping(redis)).rejects.toMatchObject({ code: 'storage_unavailable' });
      await eventually(() => expect(warn).toHaveBeenCalledTimes(outage));
      await server.restart();
      await expect(eventually(() => ping(redis))).resolves.toBe('PONG');
    }
  });

  describe('whose address leads to another server', () => {
    let other: RedisServer;
    let proxy: TcpProxy;
    const portOf = ({ url }: RedisServer) => Number(new URL(url).port);
    const write = (redis: RedisConnection) => redis.run('write', (client) => client.set('a', '1'));
    beforeEach(async () => {
      other = await RedisServer.start();
      proxy = await TcpProxy.to(portOf(server));
    });
    afterEach(async () => {
      proxy.close();
      await other.stop();
    });

    /** Each kind of connection, and how it shows that it reached the other server. */
    const subscribed = (redis: RedisConnection) => {
      const heard: string[] = [];
      const subscriber = redis.subscriber();
      subscriber.on('message', (_, message: string) => heard.push(message));
      const publish = async () => {
        await connect(other.url).run('write', (client) => client.publish('news', 'there'));
        expect(heard).toContain('there');
      };
      return { subscriber, publish };
    };

    it('should find it when the old one lives on as a replica', async () => {
      const redis = connect(`redis://127.0.0.1:${proxy.port}`);
      const patient = new Redis(redis.url, redis.patient);
      await write(redis);
      await patient.set('a', '1');
      proxy.leadTo(portOf(other));
      await connect(server.url).run('write', (client) => client.replicaof('127.0.0.1', portOf(other)));
      try {
        await eventually(() => write(redis));
        await eventually(() => patient.set('b', '2'));
        expect(await connect(other.url).run('read', (client) => client.mget('a', 'b'))).toEqual(['1', '2']);
      } finally {
        patient.disconnect();
        await connect(server.url).run('write', (client) => client.replicaof('NO', 'ONE'));
      }
    });

    it('should find it when the old one is gone without a word', async () => {
      const redis = connect(`redis://127.0.0.1:${proxy.port}`);
      const { subscriber, publish } = subscribed(redis);
      await subscriber.subscribe('news');
      await write(redis);
      proxy.leadTo(portOf(other));
      proxy.silence();
      try {
        const gone = performance.now();
        await eventually(() => write(redis));
        await eventually(publish, 15_000);
        expect(performance.now() - gone).toBeLessThan(20_000);
      } finally {
        subscriber.disconnect();
      }
    }, 40_000);
  });

  it('should never send a refused command late', async () => {
    const redis = connect(server.url);
    await ping(redis);
    await server.kill();
    await expect(redis.run('write', (client) => client.incr('late'))).rejects.toMatchObject({
      code: 'storage_unavailable',
    });
    await server.restart();
    await eventually(() => ping(redis));
    expect(await redis.run('read', (client) => client.get('late'))).toBeNull();
  });

  it('should say what an error of the server means', async () => {
    const redis = connect(server.url);
    const full = async () => redis.run('write', (client) => client.set('key', 'value'));
    await redis.run('write', (client) => client.config('SET', 'maxmemory', '1'));
    await expect(full()).rejects.toMatchObject({ message: 'Redis cannot write (OOM): its memory is full.' });
    await redis.run('write', (client) => client.config('SET', 'maxmemory', '0'));
    await expect(full()).resolves.toBe('OK');
  });

  it('should warn of settings that lose jobs', async () => {
    const redis = connect(server.url);
    const set = (name: string, value: string) =>
      redis.run('write', (client) => client.config('SET', name, value));
    expect(await redis.warnings()).toEqual([expect.stringMatching(/appendonly/)]);
    await set('maxmemory-policy', 'allkeys-lru');
    expect(await redis.warnings()).toEqual([
      expect.stringMatching(/noeviction \(it is allkeys-lru\)/),
      expect.stringMatching(/appendonly/),
    ]);
    await set('maxmemory-policy', 'noeviction');
    jest.spyOn(redis.client, 'info').mockResolvedValue('# a server that does not tell\r\n');
    expect(await redis.warnings()).toEqual([]);
  });
});
