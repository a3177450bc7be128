import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { ConfigError } from '@app/config';
import { draft } from '../../../test/support/jobs';
import type { JobRecord } from '../job.record';
import { cancel, start } from '../job.transitions';
import { JobsDatabase } from './jobs.database';
import { MIGRATIONS } from './jobs.schema';
import { SqliteJobQueue } from './sqlite.job.queue';
import { SqliteJobStore } from './sqlite.job.store';

describe(JobsDatabase.name, () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'jobs-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  const file = () => join(folder, 'jobs.db');
  const admission = { limit: 100_000 };
  const refusal = (): Error => {
    try {
      JobsDatabase.open(folder).close();
    } catch (error) {
      return error as Error;
    }
    throw new Error('Not refused');
  };

  it('should make the folder', () => {
    const database = JobsDatabase.open(join(folder, 'a/b'));
    database.close();
    expect(existsSync(join(folder, 'a/b/jobs.db'))).toBe(true);
  });

  it('should refuse a second holder until the first closes, with its statements still in use', async () => {
    for (let round = 0; round < 3; round++) {
      const database = JobsDatabase.open(folder);
      const store = new SqliteJobStore(database);
      await store.accept(draft(), admission);
      expect((await store.list({ limit: 100 })).jobs).toHaveLength(round + 1);
      expect(refusal()).toEqual(
        new ConfigError('Another process uses DATA_DIR: stop it, or set DATA_DIR to another folder'),
      );
      database.close();
      database.close();
      await expect(store.count()).rejects.toMatchObject({ code: 'storage_unavailable' });
    }
  });

  it('should commit once what is asked for at once, each counting for itself', async () => {
    const exec = jest.spyOn(Database.prototype, 'exec');
    const database = JobsDatabase.open(folder);
    database.write('crash', () => database.prepare('CREATE TABLE numbers (n)').run());
    const insert = database.prepare<[number]>('INSERT INTO numbers VALUES (?)');
    const add = (n: number) =>
      database.writeTogether(() => {
        insert.run(n);
        if (n === 2) throw new Error('not this one');
        return n;
      });
    exec.mockClear();
    const outcomes = await Promise.allSettled([add(1), add(2), add(3)]);
    expect(outcomes.map((outcome) => ('value' in outcome ? outcome.value : String(outcome.reason)))).toEqual([
      1,
      'Error: not this one',
      3,
    ]);
    expect(exec.mock.calls.filter(([sql]) => sql === 'COMMIT')).toHaveLength(1);
    expect(database.prepare<[], { n: number }>('SELECT n FROM numbers').all()).toEqual([{ n: 1 }, { n: 3 }]);
    const late = add(4);
    database.close();
    await expect(late).rejects.toMatchObject({ code: 'storage_unavailable' });
    exec.mockRestore();
  });

  it('should refuse the file of a newer version, and leave it alone', () => {
    JobsDatabase.open(folder).close();
    const newer = new Database(file());
    newer.exec('PRAGMA user_version = 999; CREATE TABLE newer (a)');
    newer.close();
    for (let time = 0; time < 2; time++) {
      expect(refusal()).toBeInstanceOf(ConfigError);
      expect(refusal().message).toMatch(/^jobs.db in DATA_DIR was written by a newer version of the service/);
    }
  });

  it('should take the jobs of the first schema, as those of one account', async () => {
    const old = new Database(file());
    old.exec(MIGRATIONS[0]);
    old.exec('PRAGMA user_version = 1');
    const insert = old.prepare(
      `INSERT INTO jobs (id, caller, route, state, start, finish, width, height, steps, reference, deadline_at, record)
       VALUES (?, ?, 'generations', ?, ?, ?, 64, 64, 4, 0, 1, ?)`,
    );
    const put = (id: string, caller: string, state: 'queued' | 'running', start: number) => {
      const { cost, ...job } = draft({ id, caller, state, cost: 10 });
      insert.run(id, caller, state, start, start + cost, JSON.stringify(job));
    };
    put('running', 'ann', 'running', 100);
    for (const [n, id] of ['first', 'second'].entries()) put(id, 'ann', 'queued', 110 + 10 * n);
    put('between', 'bob', 'queued', 115);
    old.exec(`UPDATE meta SET value = 100 WHERE name = 'virtual_time'`);
    old.close();

    const database = JobsDatabase.open(folder);
    const store = new SqliteJobStore(database);
    const { job } = (await store.accept(draft({ account: 'key:new' }), admission)) as { job: JobRecord };
    const queued = (await store.queued()).map(({ id }) => id);
    expect(queued).toEqual(['first', job.id, 'between', 'second']);
    expect(await store.accept(draft({ account: 'key:new' }), { limit: 3 })).toEqual({
      outcome: 'queue_full',
    });
    for (const id of ['first', 'running', 'between', 'second']) {
      await store.update(id, start(Date.now()));
      expect(await store.update(id, cancel('Cancelled', Date.now()))).toBeDefined();
      await store.remove(id);
    }
    expect((await store.list({ limit: 10 })).jobs.map(({ id }) => id)).toEqual([job.id]);
    database.close();
  });

  it('should refuse a damaged file with a sentence', () => {
    writeFileSync(file(), Buffer.alloc(20_000, 'no database'));
    const error = refusal();
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/^jobs.db in DATA_DIR is damaged: put back a backup/);
  });

  it('should say so when the file is damaged later', async () => {
    const before = JobsDatabase.open(folder);
    for (let n = 0; n < 50; n++) await new SqliteJobStore(before).accept(draft(), admission);
    before.close();
    truncateSync(file(), 20 * 4096);
    const opened = () => {
      const database = JobsDatabase.open(folder);
      const store = new SqliteJobStore(database);
      return store.list({ limit: 100 }).finally(() => database.close());
    };
    await expect((async () => opened())()).rejects.toThrow(/jobs.db in DATA_DIR is damaged/);
  });

  it('should refuse a folder that cannot be one, or a file that is none', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => JobsDatabase.open(join(folder, 'file'))).toThrow(ConfigError);
    expect(() => JobsDatabase.open(join(folder, 'file'))).toThrow(/^DATA_DIR must be a folder/);
    JobsDatabase.open(join(folder, 'jobs.db')).close(); // a folder under the file's name
    expect(refusal()).toBeInstanceOf(ConfigError);
    expect(refusal().message).toMatch(/^jobs.db in DATA_DIR must be a file/);
  });

  it('should write nothing of a change for which the disk has no room, and work again when there is some', async () => {
    const database = JobsDatabase.open(folder);
    const store = new SqliteJobStore(database);
    const { page_count: used } = database.prepare<[], { page_count: number }>('PRAGMA page_count').get()!;
    const limit = (pages: number) => database.prepare(`PRAGMA max_page_count = ${pages}`).all();
    limit(used + 4);

    const large = () =>
      draft({ idempotency: { key: 'large', fingerprint: 'a' }, picture: { prompt: 'x'.repeat(40_000) } });
    await expect(store.accept(large(), admission)).rejects.toMatchObject({
      code: 'storage_unavailable',
      message: 'The jobs cannot be read or written (SQLITE_FULL): the disk of DATA_DIR is full.',
    });
    expect(await store.count()).toEqual({ queued: 0, running: 0 });
    expect(await store.findByKey('alice', 'large')).toBeUndefined();

    const small = await store.accept(draft(), admission);
    if (small.outcome !== 'accepted') throw new Error(small.outcome);
    const grow = store.update(small.job.id, (job) => ({
      ...job,
      state: 'running',
      webhook: { url: 'y'.repeat(40_000), events: [], deliveries: [] },
    }));
    await expect(grow).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(await store.find(small.job.id)).toEqual(small.job);

    limit(1_000_000);
    expect(await store.accept(large(), admission)).toMatchObject({ outcome: 'accepted' });
    expect(await store.count()).toEqual({ queued: 2, running: 0 });
    database.close();
  });

  it('should leave defects as they are', () => {
    const database = JobsDatabase.open(folder);
    const insert = database.prepare<[string]>('INSERT INTO meta (name) VALUES (?)');
    expect(() => database.write('crash', () => insert.run('a'))).toThrow(/NOT NULL constraint failed/);
    expect(() =>
      database.write('crash', () => {
        database.prepare('DELETE FROM meta').run();
        throw new Error('on the way');
      }),
    ).toThrow('on the way');
    expect(database.prepare<[], object>('SELECT * FROM meta').all()).toHaveLength(1);
    database.close();
  });

  it('should answer every question from an index, in its order, however many jobs are finished', async () => {
    const database = JobsDatabase.open(folder);
    const prepare = jest.spyOn(database, 'prepare');
    const store = new SqliteJobStore(database);
    new SqliteJobQueue(database);
    for (const userId of [undefined, 'bob'])
      for (const state of [undefined, 'failed'] as const)
        for (const route of [undefined, 'memory'] as const)
          await store.list({ userId, state, route, limit: 10 });
    const queries = prepare.mock.calls.map(([sql]) => sql).filter((sql) => /FROM jobs/.test(sql));
    prepare.mockRestore();

    expect(queries.length).toBeGreaterThan(15);
    for (const sql of queries) {
      const steps = database.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all();
      const plan = steps.map(({ detail }) => detail).join('; ');
      expect({ sql, plan }).toEqual({
        sql,
        plan: expect.not.stringMatching(/SCAN jobs$|SCAN jobs;|ORDER BY/),
      });
      expect({ sql, plan }).toEqual({ sql, plan: expect.stringMatching(/jobs USING/) });
    }
    database.close();
  });

  it('should leave nothing to be read of a user who was deleted, whatever was done with their jobs', async () => {
    const database = JobsDatabase.open(folder);
    const store = new SqliteJobStore(database);
    const prompt = (n: number) => `prompt ${'x'.repeat((n % 7) * 900)}`; // some on pages of their own
    const ids: string[] = [];
    for (let n = 0; n < 300; n++) {
      const user = n % 3 === 0 ? 'secretuser' : `other${n % 5}`;
      const job = draft({
        caller: user,
        picture: { userId: user, prompt: `of ${user}: ${prompt(n)}`, key: `generated/${user}/${n}.png` },
        idempotency: { key: `key ${n}`, fingerprint: 'f' },
      });
      await store.accept(job, admission);
      await store.update(job.id, start(Date.now()));
      if (n % 2 === 0) await store.update(job.id, cancel('no longer wanted', Date.now()));
      // Forgotten, but for its key; the log is copied into the file now and then.
      if (n % 4 === 1) await store.remove(job.id, 'holds');
      else if (user === 'secretuser') ids.push(job.id);
      if (n % 50 === 0) database.scrub();
    }
    const bytes = () => Buffer.concat([file(), `${file()}-wal`].map((path) => readFileSync(path)));
    expect(bytes().includes('secretuser')).toBe(true);
    await store.deleteUser('secretuser');
    for (const id of ids) await store.remove(id);
    await store.purge('secretuser');
    expect(bytes().includes('secretuser')).toBe(false);
    expect(bytes().includes('other1')).toBe(true);
    database.close();
  });
});
