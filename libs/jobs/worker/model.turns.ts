import { Injectable, Logger, Optional } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Config } from '@app/config';
import { PipelineService, type PipelineModel } from '@app/pipeline';
import { modelsOf, type WorkerCapabilities } from '../capabilities/fleet.capabilities';
import { JobQueue, UNNAMED, type JobLease } from '../job.queue';
import { JobStore } from '../job.store';
import { RedisWorkerPresence } from '../redis/redis.worker.presence';

/** Milliseconds, like all here. Between two looks at what waits for other models. */
const LOOK_AGAIN = 500;
/** So long only one process of all changes to a model: it may be enough for what waits. */
const ONE_BY_ONE = 10_000;
/** For which no worker must have had a model until its jobs are refused: they hear of a change one after the other. */
const GONE = 120_000;

/**
 * Takes jobs of the model that is loaded, until none waits or those of another have waited MODEL_SWITCH_AFTER: then that one is
 * loaded. Under a lasting load of several, each keeps the engines for that time.
 */
@Injectable()
export class ModelTurns {
  private readonly logger = new Logger('Models');
  /** When the model was changed to that which is loaded. */
  private since = -Infinity;
  /** Models that jobs name and nobody has, by when that was first seen. */
  private readonly missing = new Map<string, number>();

  constructor(
    private readonly config: Config,
    private readonly queue: JobQueue,
    private readonly store: JobStore,
    private readonly pipeline: PipelineService,
    @Optional() private readonly presence?: RedisWorkerPresence<WorkerCapabilities>,
  ) {}

  /** As JobQueue.take. @param idle resolves once nothing is drawn any more */
  async take(signal: AbortSignal, idle: () => Promise<void>): Promise<JobLease | undefined> {
    const { models } = this.pipeline;
    if (!models.several) return this.queue.take(signal);
    while (!signal.aborted) {
      const [waiting, now] = [await this.queue.waiting(), await this.store.now()];
      const refused = await this.takeGone([...waiting.keys()], now);
      if (refused) return refused;
      const next = this.choose(waiting, now);
      if (next !== models.loaded && (await this.store.claim(`model:${next.name}`, ONE_BY_ONE))) {
        await idle();
        // It may have been taken away meanwhile.
        const there = models.get(next.name);
        if (!signal.aborted && there?.isHere) await this.change(there);
        continue;
      }
      // What is fetched ahead would be drawn before those of another model, however long they have waited.
      const others = [...waiting.keys()].some((name) => !this.namesOfLoaded().includes(name));
      if (others && !this.pipeline.free) {
        await this.pipeline.whenFree(until(signal));
        continue;
      }
      const lease = await this.takeOne(signal, this.namesOfLoaded());
      if (lease) return lease;
    }
    return undefined;
  }

  private choose(waiting: ReadonlyMap<string, number>, now: number): PipelineModel {
    const { models } = this.pipeline;
    const { loaded } = models;
    const oldest = new Map<PipelineModel, number>();
    for (const [name, at] of waiting) {
      const model = models.get(name === UNNAMED ? undefined : name);
      if (model?.isHere) oldest.set(model, Math.min(at, oldest.get(model) ?? at));
    }
    const others = [...oldest].filter(([model]) => model !== loaded).sort(([, a], [, b]) => a - b);
    const [other, at] = others.at(0) ?? [];
    if (!models.isOffered) return other ?? models.all.find(({ isHere }) => isHere) ?? loaded;
    if (other === undefined || at === undefined) return loaded;
    const overdue = now - Math.max(at, this.since) >= 1000 * this.config.MODEL_SWITCH_AFTER;
    return overdue || !oldest.has(loaded) ? other : loaded;
  }

  /** One that does not load gives way to the one before. */
  private async change(model: PipelineModel): Promise<void> {
    const { pipeline, logger } = this;
    const { loaded: before } = pipeline;
    logger.log(`Loading ${model.name} in the place of ${before.name}`);
    try {
      await pipeline.use(model);
    } catch (error) {
      const { message } = error as Error;
      model.failed(message);
      logger.error(`The model ${model.name} cannot be used: ${message}`);
      await pipeline.use(before).catch(() => {});
    }
    this.since = await this.store.now();
  }

  /** None where it was taken away and no other is here yet; one whose settings changed draws until the new files are here. */
  private namesOfLoaded(): readonly string[] {
    const { models } = this.pipeline;
    const { name } = models.loaded;
    const model = models.get(name);
    if (!model) return [];
    return model === models.get() ? [UNNAMED, name] : [name];
  }

  /** A job of a model that was taken away, to be refused. */
  private async takeGone(names: readonly string[], now: number): Promise<JobLease | undefined> {
    const unknown = names.filter((name) => name !== UNNAMED && !this.pipeline.models.get(name));
    for (const name of this.missing.keys()) if (!unknown.includes(name)) this.missing.delete(name);
    if (unknown.length === 0) return undefined;
    const workers = (await this.presence?.list()) ?? [];
    for (const name of unknown) {
      if (workers.some((worker) => modelsOf(worker).some(({ model }) => model === name))) continue;
      if (!this.missing.has(name)) this.missing.set(name, now);
      if (this.presence && now - this.missing.get(name)! < GONE) continue;
      const lease = await this.takeOne(undefined, [name]);
      if (lease) return lease;
    }
    return undefined;
  }

  private async takeOne(
    signal: AbortSignal | undefined,
    names: readonly string[],
  ): Promise<JobLease | undefined> {
    if (names.length > 0) return this.queue.take(until(signal), names);
    await sleep(LOOK_AGAIN, undefined, { signal }).catch(() => {});
    return undefined;
  }
}

/** Aborted with `signal`, and when it is time to look again. (Node 20 may collect a timeout that only AbortSignal.any knows.) */
function until(signal?: AbortSignal): AbortSignal {
  const over = new AbortController();
  const end = () => over.abort();
  setTimeout(end, LOOK_AGAIN).unref();
  signal?.addEventListener('abort', end, { signal: over.signal });
  if (signal?.aborted) end();
  return over.signal;
}
