import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { draft } from '../../../test/support/jobs';
import { queueContract, rescueIn, type OpenedQueue } from '../job.queue.contract';
import { rescuerContract, type OpenedRecords } from '../rescuer.contract';
import { MemoryJobEvents } from './memory.job.events';
import { JobsDatabase } from './jobs.database';
import { SqliteJobQueue } from './sqlite.job.queue';
import { SqliteJobStore } from './sqlite.job.store';

const ROOT = join(__dirname, '../../..');

function open(folder: string): OpenedQueue & OpenedRecords & { readonly database: JobsDatabase } {
  const database = JobsDatabase.open(folder);
  const store = new SqliteJobStore(database);
  const queue = new SqliteJobQueue(database);
  const events = new MemoryJobEvents();
  const end = async () => {
    await queue.close();
    database.close();
  };
  return {
    database,
    store,
    queue,
    events,
    reopen: async () => {
      await end();
      return open(folder);
    },
    close: async () => {
      await end();
      rmSync(folder, { recursive: true });
    },
  };
}

const newFolder = () => mkdtempSync(join(tmpdir(), 'jobs-'));

queueContract('SqliteJobQueue', () => Promise.resolve(open(newFolder())));
rescuerContract('SqliteJobQueue', () => Promise.resolve(open(newFolder())));

describe(SqliteJobQueue.name, () => {
  /** Accepts three jobs, runs the first, cancels the second, says so, and is killed where it stands. */
  const VICTIM = `
    const { JobsDatabase } = require('./libs/jobs/embedded/jobs.database.ts');
    const { SqliteJobStore } = require('./libs/jobs/embedded/sqlite.job.store.ts');
    const { SqliteJobQueue } = require('./libs/jobs/embedded/sqlite.job.queue.ts');
    const { start, cancel } = require('./libs/jobs/job.transitions.ts');
    const { draft } = require('./test/support/jobs.ts');
    (async () => {
      const database = JobsDatabase.open(process.argv[1]);
      const store = new SqliteJobStore(database);
      const queue = new SqliteJobQueue(database);
      await queue.start();
      for (const id of ['a', 'b', 'c']) {
        const { job } = await store.accept(draft({ id, idempotency: { key: id, fingerprint: id } }), { limit: 9 });
        await queue.add(job);
      }
      const lease = await queue.take(new AbortController().signal);
      await store.update(lease.id, start(Date.now()));
      await store.update('b', cancel('Cancelled', Date.now()));
      console.log('holding');
      setInterval(() => {}, 1000);
    })();`;

  it('should lose nothing when its process is killed, and free DATA_DIR with it', async () => {
    const folder = newFolder();
    const child = spawn(process.execPath, ['-r', './test/support/typescript.js', '-e', VICTIM, folder], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    expect(line.toString()).toBe('holding\n');
    expect(() => JobsDatabase.open(folder)).toThrow(
      'Another process uses DATA_DIR: stop it, or set DATA_DIR to another folder',
    );
    child.kill('SIGKILL');
    await once(child, 'exit');

    const { store, queue, close } = open(folder);
    expect(await store.find('a')).toMatchObject({ state: 'running', attempts: 1 });
    await queue.start(rescueIn(store));
    expect(await store.find('a')).toMatchObject({ state: 'queued', attempts: 1 });
    expect(await store.find('b')).toMatchObject({ state: 'cancelled' });
    const signal = AbortSignal.timeout(5000);
    expect([(await queue.take(signal))?.id, (await queue.take(signal))?.id]).toEqual(['a', 'c']);
    expect((await store.findByKey('alice', 'c'))?.job?.id).toBe('c');
    expect((await store.accept(draft(), { limit: 9 })).outcome).toBe('accepted');
    await close();
  }, 30_000);

  it('should tell takers, not those who add, when the records cannot be read', async () => {
    const { store, queue, database, close } = open(newFolder());
    const waiting = queue.take(new AbortController().signal);
    const acceptance = await store.accept(draft(), { limit: 9 });
    if (acceptance.outcome !== 'accepted') throw new Error(acceptance.outcome);
    database.close();
    await expect(queue.add(acceptance.job)).resolves.toBeUndefined();
    await expect(waiting).rejects.toMatchObject({ code: 'storage_unavailable' });
    await close();
  });
});
