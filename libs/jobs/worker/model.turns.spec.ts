import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadConfig } from '@app/config';
import type { PipelineService } from '@app/pipeline';
import { draft } from '../../../test/support/jobs';
import type { WorkerCapabilities } from '../capabilities/fleet.capabilities';
import { JobsDatabase } from '../embedded/jobs.database';
import { SqliteJobQueue } from '../embedded/sqlite.job.queue';
import { SqliteJobStore } from '../embedded/sqlite.job.store';
import { modelOf } from '../job.queue';
import { cancel } from '../job.transitions';
import type { RedisWorkerPresence } from '../redis/redis.worker.presence';
import { ModelTurns } from './model.turns';

/** Of a pipeline with several models: which are offered, and which is loaded. */
class Models {
  readonly several = true;
  readonly changes: string[] = [];
  readonly broken = new Set<string>();
  all = ['base', 'anime', 'photo'].map((name) => new Model(name));
  loaded = this.all[0];

  get isOffered() {
    return this.all.includes(this.loaded);
  }
  get = (name = this.all[0].name) => this.all.find((model) => model.name === name);
  use = (model: Model) => {
    this.loaded = model;
    this.changes.push(model.name);
    return this.broken.has(model.name) ? Promise.reject(new Error('damaged')) : Promise.resolve();
  };
}

class Model {
  isHere = true;
  constructor(readonly name: string) {}
  failed = () => void (this.isHere = false);
}

describe(ModelTurns.name, () => {
  let folder: string;
  let database: JobsDatabase;
  let store: SqliteJobStore;
  let queue: SqliteJobQueue;
  let models: Models;
  let now: number;
  /** `wait`: what is drawn ends meanwhile. */
  const engine = { free: true, wait: () => Promise.resolve() };
  const idle = jest.fn(() => Promise.resolve());

  beforeEach(() => {
    Logger.overrideLogger(false);
    folder = mkdtempSync(join(tmpdir(), 'turns-'));
    database = JobsDatabase.open(folder);
    store = new SqliteJobStore(database);
    queue = new SqliteJobQueue(database);
    models = new Models();
    now = Date.now();
    jest.spyOn(store, 'now').mockImplementation(() => Promise.resolve(now));
    idle.mockClear();
  });
  afterEach(async () => {
    await queue.close();
    database.close();
    rmSync(folder, { recursive: true });
  });

  function open(workers?: readonly Partial<WorkerCapabilities>[]): ModelTurns {
    const pipeline = {
      models,
      use: models.use,
      get free() {
        return engine.free;
      },
      whenFree: () => engine.wait(),
      get loaded() {
        return models.loaded;
      },
    } as unknown as PipelineService;
    const presence = workers && { list: () => Promise.resolve(workers) };
    return new ModelTurns(
      loadConfig({}),
      queue,
      store,
      pipeline,
      presence as RedisWorkerPresence<WorkerCapabilities> | undefined,
    );
  }
  async function submit(...names: (string | undefined)[]): Promise<void> {
    for (const model of names) {
      await store.accept(draft({ createdAt: now, picture: { model } }), { limit: 100 });
      await queue.add();
    }
  }
  /** Takes a job, and ends it; answers its model. Nothing within a while: undefined. */
  async function next(turns: ModelTurns, milliseconds = 1_300): Promise<string | undefined> {
    const lease = await turns.take(AbortSignal.timeout(milliseconds), idle);
    if (!lease) return undefined;
    const job = (await store.find(lease.id))!;
    await store.update(lease.id, cancel('Done', now));
    await lease.done();
    return modelOf(job);
  }
  const take = async (turns: ModelTurns, jobs: number) => {
    const taken: (string | undefined)[] = [];
    while (taken.length < jobs) taken.push(await next(turns));
    return taken;
  };

  it('should stay with its model until no job of it waits, then take that which waits longest', async () => {
    await submit('anime', undefined, 'photo', 'base', 'anime', undefined);
    expect(await take(open(), 6)).toEqual(['', 'base', '', 'anime', 'anime', 'photo']);
    expect(models.changes).toEqual(['anime', 'photo']);
    expect(idle).toHaveBeenCalledTimes(2);
  });

  it('should take those that have waited MODEL_SWITCH_AFTER first, and stay as long with them', async () => {
    const turns = open();
    await submit('anime', 'anime');
    now += 59_000;
    await submit('base', 'base', 'base', 'base');
    expect(await take(turns, 2)).toEqual(['base', 'base']);
    now += 1_000;
    expect(await next(turns)).toBe('anime');
    now += 59_900; // by now those of base have waited for a minute, too
    expect(await next(turns)).toBe('anime');
    expect(await take(turns, 2)).toEqual(['base', 'base']);
    await submit('anime', 'base', 'anime');
    now += 120_000;
    expect(await take(turns, 3)).toEqual(['anime', 'anime', 'base']);
  });

  it('should fetch nothing ahead while another waits, whose time may come before an engine is free', async () => {
    const turns = open();
    await submit('base', 'base', 'anime');
    expect(await next(turns)).toBe('base');
    engine.free = false;
    engine.wait = () => {
      now += 60_000;
      engine.free = true;
      return Promise.resolve();
    };
    expect(await take(turns, 2)).toEqual(['anime', 'base']);
  });

  it('should leave a model alone whose files are not here, and one that does not load', async () => {
    models.all[1].isHere = false;
    models.broken.add('photo');
    const turns = open();
    await submit('anime', 'photo');
    expect(await next(turns)).toBeUndefined();
    expect(models.changes).toEqual(['photo', 'base']);
    models.all[1].isHere = true;
    expect(await next(turns)).toBe('anime');
  });

  it('should hand out jobs of a model that was taken away, to be refused', async () => {
    await submit('gone', 'base');
    expect(await take(open(), 2)).toEqual(['gone', 'base']);
    expect(models.changes).toEqual([]);
  });

  it('should do so only once no worker has had it for a while', async () => {
    const workers: Partial<WorkerCapabilities>[] = [{ model: 'gone' }];
    const turns = open(workers);
    await submit('gone');
    expect(await next(turns)).toBeUndefined();
    now += 600_000;
    workers.pop();
    expect(await next(turns)).toBeUndefined();
    now += 119_000;
    expect(await next(turns)).toBeUndefined();
    now += 1_000;
    expect(await next(turns)).toBe('gone');
  });

  it('should load another when its own is taken away, though nothing waits', async () => {
    models.all = [new Model('base'), new Model('anime')];
    expect(await next(open())).toBeUndefined();
    expect(models.changes).toEqual(['base']);
    expect(models.isOffered).toBe(true);
  });
});
