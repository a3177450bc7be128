import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { makeCertificate } from '../../../test/support/certificate';
import { draft } from '../../../test/support/jobs';
import { eventually } from '../../../test/support/eventually';
import { freePorts } from '../../../test/support/ports';
import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import type { JobRecord } from '../job.record';
import { RedisClient } from './redis.client';
import { RedisConnection } from './redis.connection';
import { RedisJobQueue } from './redis.job.queue';
import { RedisJobStore } from './redis.job.store';

describeWith(REDIS_SERVER, `${RedisClient.name} on a real server`, () => {
  let server: RedisServer;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    jest.spyOn(Logger.prototype, 'log').mockImplementation();
    server = await RedisServer.start();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await server.stop();
    jest.restoreAllMocks();
  });

  /** What one process has. */
  function open(url: string) {
    const redis = new RedisConnection(url);
    const store = new RedisJobStore(redis);
    const queue = new RedisJobQueue(redis, store);
    closing.push(
      () => redis.close(),
      () => queue.close(),
    );
    return { redis, store, queue };
  }

  /** Somebody else's job in database 0, and a user who may not choose a database. */
  async function prepare() {
    const { redis, store, queue } = open(server.url);
    await redis.run('write', (client) =>
      client.acl('SETUSER', 'ann', 'on', '>not-a-secret', '~*', '&*', '+@all', '-select'),
    );
    await queue.add(await accepted(store));
  }
  async function accepted(store: RedisJobStore): Promise<JobRecord> {
    const acceptance = await store.accept(draft(), { limit: 1_000 });
    if (acceptance.outcome !== 'accepted') throw new Error(acceptance.outcome);
    return acceptance.job;
  }

  it.each([
    ['there is none of this number', '', '/99', /there is no such database/],
    ['its user may not choose one', 'ann:not-a-secret@', '/1', /rights of REDIS_URL's user/],
  ])(
    'should use no other database than the named one, on any connection: %s',
    async (_why, user, database, remedy) => {
      await prepare();
      const { redis, queue } = open(server.url.replace('//', `//${user}`) + database);
      const subscriber = redis.subscriber();
      closing.push(() => subscriber.disconnect());
      for (const pause of [0, 500, 1_500]) {
        await new Promise((resolve) => setTimeout(resolve, pause));
        await expect(redis.run('read', (client) => client.ping())).rejects.toMatchObject({
          code: 'storage_unavailable',
          message: expect.stringMatching(remedy) as string,
        });
      }
      expect(await queue.take(AbortSignal.timeout(2_000))).toBeUndefined();
      expect(subscriber.status).not.toBe('ready');
    },
    20_000,
  );

  it('should use the named database on every connection', async () => {
    const { redis, store, queue } = open(`${server.url}/1`);
    const job = await accepted(store);
    await queue.add(job);
    const lease = await queue.take(AbortSignal.timeout(5_000));
    expect(lease?.id).toBe(job.id);
    const keyspace = await redis.run('read', (client) => client.info('keyspace'));
    expect(keyspace.match(/^db\d+/gm)).toEqual(['db1']);
  });

  describe('found by sentinels', () => {
    let folder: string;
    beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'sentinel-'))));
    afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

    async function sentinel(primary: string): Promise<string> {
      const [port] = await freePorts(1);
      const file = join(folder, 'sentinel.conf');
      const lines = [
        `port ${port}`,
        'bind 127.0.0.1',
        'requirepass watch',
        `dir ${folder}`,
        `sentinel monitor mymaster 127.0.0.1 ${new URL(primary).port} 1`,
        'sentinel down-after-milliseconds mymaster 500',
        'sentinel failover-timeout mymaster 2000',
      ];
      await writeFile(file, `${lines.join('\n')}\n`);
      const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
      closing.unshift(() => child.kill('SIGKILL'));
      return `redis+sentinel://127.0.0.1:1,127.0.0.1:${port}/mymaster/1?sentinelPassword=watch`;
    }

    it('should work on every connection, and go to the next primary when the first dies', async () => {
      const copy = await mkdtemp(join(folder, 'replica-')); // a replica writes what it gets to its folder
      const replica = await RedisServer.start({ folder: copy });
      closing.push(() => replica.stop());
      const { redis: second } = open(replica.url);
      await second.run('write', (client) => client.replicaof('127.0.0.1', new URL(server.url).port));
      await eventually(async () => {
        const state = await second.run('read', (client) => client.info('replication'));
        expect(state).toContain('master_link_status:up');
      });
      const { redis, store, queue } = open(await sentinel(server.url));
      const first = await eventually(() => accepted(store));
      await queue.add(first);
      expect((await queue.take(AbortSignal.timeout(10_000)))?.id).toBe(first.id);
      await new Promise((resolve) => setTimeout(resolve, 2_000)); // the sentinel hears of the replica
      await server.kill();
      const next = await eventually(() => accepted(store), 20_000);
      await eventually(() => queue.add(next));
      expect((await queue.take(AbortSignal.timeout(10_000)))?.id).toBe(next.id);
      expect(await redis.run('read', (client) => client.info('keyspace'))).toMatch(/^db1:/m);
    }, 60_000);

    it.each([
      ['knows the primary', ['mymaster', 'other'], /know no primary of the name in REDIS_URL/],
      ['lets us in', ['sentinelPassword=watch', ''], /set sentinelPassword in REDIS_URL/],
    ])('should say that no sentinel %s', async (_what, [from, to], message) => {
      const { redis } = open((await sentinel(server.url)).replace(from, to));
      await eventually(() =>
        expect(ping(redis)).rejects.toMatchObject({ message: expect.stringMatching(message) as string }),
      );
    });
  });

  describe('over TLS', () => {
    it('should name the variable for a certificate of an own authority', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'tls-'));
      const [port] = await freePorts(1);
      const { key, cert } = makeCertificate(folder);
      const options = `--port 0 --tls-port ${port} --tls-cert-file ${cert} --tls-key-file ${key} --tls-ca-cert-file ${cert}`;
      const child = spawn('redis-server', [...options.split(' '), '--tls-auth-clients', 'no', '--save', ''], {
        stdio: 'ignore',
        cwd: folder,
      });
      closing.push(
        () => rm(folder, { recursive: true }),
        () => child.kill('SIGKILL'),
      );
      const { redis } = open(`rediss://127.0.0.1:${port}`);
      await eventually(() =>
        expect(ping(redis)).rejects.toMatchObject({
          message: expect.stringMatching(/DEPTH_ZERO_SELF_SIGNED_CERT.*NODE_EXTRA_CA_CERTS/) as string,
        }),
      );
    }, 20_000);
  });

  const ping = (redis: RedisConnection) => redis.run('read', (client) => client.ping());
});
