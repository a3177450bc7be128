import { Logger } from '@nestjs/common';
import { eventually } from '../../../test/support/eventually';
import { draft } from '../../../test/support/jobs';
import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import type { Change } from '../job.record';
import { storeContract } from '../job.store.contract';
import { cancel, start } from '../job.transitions';
import { RedisConnection } from './redis.connection';
import { RedisJobStore } from './redis.job.store';

const admission = { limit: 100_000 };

describeWith(REDIS_SERVER, `${RedisJobStore.name} on a real server`, () => {
  let server: RedisServer;
  let redis: RedisConnection;
  let store: RedisJobStore;
  /** A connection that is not closed would keep a failed run from ending. */
  let others: RedisConnection[];

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  beforeEach(async () => {
    redis = new RedisConnection(server.url);
    await redis.run('write', (client) => client.flushall());
    store = new RedisJobStore(redis);
    others = [];
  });
  afterEach(async () => {
    for (const each of [redis, ...others]) await each.close();
    jest.restoreAllMocks();
  });
  afterAll(() => server.stop());

  storeContract(RedisJobStore.name, () => {
    const own = new RedisConnection(server.url);
    return Promise.resolve({ store: new RedisJobStore(own), close: () => own.close() });
  });

  it('should let one process have a round, and another the next', async () => {
    const own = new RedisConnection(server.url);
    others.push(own);
    const other = new RedisJobStore(own);
    expect(await Promise.all([store.claim('a', 60_000), other.claim('a', 60_000)])).toEqual(
      expect.arrayContaining([true, false]),
    );
    expect(await other.claim('b', 1)).toBe(true);
    await eventually(async () => expect(await store.claim('b', 60_000)).toBe(true));
    expect(await other.claim('b', 60_000)).toBe(false);
  });

  it('should leave nothing of a removed job behind, whatever became of it', async () => {
    const webhook = {
      url: 'https://example.com',
      events: ['job.cancelled' as const],
      deliveries: [{ event: 'job.running' as const, at: 1, attempts: 0, status: 'pending' as const }],
    };
    const changes = [[], [start(Date.now())], [start(Date.now()), cancel('Cancelled', Date.now())]];
    for (const each of changes) {
      const mine = draft({
        webhook,
        idempotency: { key: 'a', fingerprint: 'b' },
        picture: { userId: 'bob' },
      });
      await store.accept(mine, admission);
      for (const change of each) expect(await store.update(mine.id, change)).toBeDefined();
      await store.remove(mine.id);
      const left = await redis.run('read', (client) => client.keys('*'));
      expect(left.filter((key) => !/:(seq|virtual-time)$/.test(key))).toEqual([]);
    }
  });

  it('should keep every key under its prefix, in one slot of a cluster', async () => {
    const other = new RedisJobStore(redis, '{other}:');
    const mine = draft({ caller: 'a:{b}', idempotency: { key: '{c}', fingerprint: 'd' } });
    await other.accept(mine, admission);
    await other.update(mine.id, start(Date.now()));
    for (const key of await redis.run('read', (client) => client.keys('*')))
      expect(key).toMatch(/^\{other\}:/);
    expect(await store.find(mine.id)).toBeUndefined();
  });

  it('should take jobs whose records are gone out of its sets when it reads them', async () => {
    const caller = 'ann';
    const ids: string[] = [];
    const lose = async (...changes: Change[]) => {
      const mine = draft({ caller, deadlineAt: 1, picture: { userId: 'bob' } });
      ids.push(mine.id);
      await store.accept(mine, admission);
      for (const change of changes) await store.update(mine.id, change);
      await redis.run('write', (client) => client.del(`{sdxl}:job:${mine.id}`));
    };
    const running = start(Date.now());
    for (let n = 0; n < 101; n++) await lose(running, cancel('Cancelled', 1));
    for (let n = 0; n < 101; n++) await lose();
    await lose(running);
    const there = draft({ deadlineAt: 1 });
    await store.accept(there, admission);

    const full = { limit: 100_000, limitPerCaller: 2 };
    expect(await store.accept(draft({ caller }), full)).toMatchObject({ outcome: 'accepted' });
    expect(await store.count()).toEqual({ queued: 2, running: 0 });
    expect(await store.finishedBefore(2)).toEqual([]);
    for (let n = 0; n < 2; n++) expect(await store.overdue(2)).toEqual([there.id]);
    expect(await store.queuedIds()).toHaveLength(2);
    const lists = [{ userId: 'bob' }, { route: there.picture.route }, { state: 'cancelled' as const }];
    for (const list of lists) await store.list({ ...list, limit: 500 });
    expect((await store.list({ userId: 'bob', limit: 500 })).jobs).toEqual([]);
    expect((await store.list({ limit: 500 })).jobs).toHaveLength(2);
    const left = await redis.run('read', async (client) => {
      const sets = (await client.keys('*')).filter(
        (key) => !/:(seq|virtual-time|accounts|times:|job:.*)$/.test(key),
      );
      return (await Promise.all(sets.map((key) => client.zrange(key, '0', '-1')))).flat().join();
    });
    expect(ids.filter((id) => left.includes(id))).toEqual([]);
  });

  it('should lose no change of several processes at once', async () => {
    others = Array.from({ length: 4 }, () => new RedisConnection(server.url));
    const { id } = draft();
    await store.accept(draft({ id }), admission);
    const count = (one: RedisConnection) =>
      new RedisJobStore(one).update(id, (job) => ({ ...job, crashes: job.crashes + 1 }));
    await Promise.all(others.flatMap((one) => Array.from({ length: 10 }, () => count(one))));
    expect((await store.find(id))!.crashes).toBe(40);
  });

  it('should give every page of a long list whose second filter is rare', async () => {
    const rare: string[] = [];
    for (let n = 0; n < 2_500; n++) {
      const mine = draft({ picture: { userId: 'bob', route: n % 1_000 === 0 ? 'memory' : 'subject' } });
      if (n % 1_000 === 0) rare.unshift(mine.id);
      await store.accept(mine, admission);
    }
    const found: string[] = [];
    let before: number | undefined;
    do {
      const page = await store.list({ userId: 'bob', state: 'queued', route: 'memory', limit: 2, before });
      found.push(...page.jobs.map(({ id }) => id));
      before = page.next;
    } while (before !== undefined);
    expect(found).toEqual(rare);
  }, 20_000);

  it('should refuse everything while Redis is away, and say what to check', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    const away = new RedisConnection('redis://127.0.0.1:1');
    others.push(away);
    const none = new RedisJobStore(away);
    const answers = await Promise.allSettled([
      none.accept(draft(), admission),
      none.find('a'),
      none.update('a', (job) => job),
      none.list({ limit: 1 }),
      none.queued(),
      none.hasRoom('', 1),
      none.count(),
      none.overdue(0),
      none.remove('a'),
      none.check(),
    ]);
    for (const answer of answers) {
      expect(answer).toMatchObject({
        status: 'rejected',
        reason: { code: 'storage_unavailable', retryAfter: 5, message: expect.stringMatching(/REDIS_URL/) },
      });
    }
  });
});
