import { EventEmitter, once } from 'node:events';
import {
  Injectable,
  Optional,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Config, type Size } from '@app/config';
import type { ServiceError } from '@app/errors';
import { ModelCatalog, ModelsService, TerminalProgress } from '@app/models';
import { engineSetups } from './engine.setup';
import { best, EngineChoice } from './engine.choice';
import { EngineSupervisor } from './engine.supervisor';
import { EngineLease, type Lender } from './engine.lease';
import { ENGINE_MAIN } from './engine.fork';
import { LoraMirror } from './lora.mirror';
import type { PipelineModel } from './pipeline.model';
import { PipelineModels } from './pipeline.models';
import type { EngineWish, GenerateRequest, PipelineStatus } from './pipeline.types';
import { drainingError, Fifo } from '@app/lifecycle';

/**
 * The engines behind one door: finds the model, keeps an engine process per device alive, and hands out free ones in
 * the order in which they were asked for. Everything above speaks of pictures, everything below of processes.
 */
@Injectable()
export class PipelineService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly terminal: TerminalProgress;
  readonly models: PipelineModels;
  private readonly supervisors: readonly EngineSupervisor[];
  private readonly choice: EngineChoice;
  private readonly line = new Fifo<EngineLease, EngineWish>();
  private readonly changes = new EventEmitter<{ change: [] }>();
  private readonly stopping = new AbortController();
  private stopped?: Promise<void>;
  /** To another model. */
  private switching = false;
  /** How often another model was loaded. */
  switches = 0;

  constructor(
    private readonly config: Config,
    catalog: ModelCatalog,
    models: ModelsService,
    @Optional() engineMain: string = ENGINE_MAIN,
    @Optional() private readonly loras?: LoraMirror,
  ) {
    this.terminal = new TerminalProgress(['trace', 'debug', 'info'].includes(config.LOG_LEVEL));
    this.models = new PipelineModels(catalog, models, this.terminal, () => this.follow());
    this.supervisors = engineSetups(config).map(
      (setup) =>
        // One bar is enough: engines load the same files at the same time.
        new EngineSupervisor(
          config,
          this.models,
          { ...setup, main: engineMain, terminal: setup.id === 0 ? this.terminal : undefined },
          () => {
            this.serve();
            this.changes.emit('change');
          },
        ),
    );
    this.choice = new EngineChoice(this.supervisors);
  }

  /** Starts in the background: the service answers health checks while gigabytes load. */
  onApplicationBootstrap(): void {
    void this.start();
  }

  /** Jobs end with `draining`: the callers' replies still go out before the server closes. */
  beforeApplicationShutdown(): Promise<void> {
    return this.stop();
  }

  /** Kills the engines. Who waits for one or draws with one is refused with `draining`. Idempotent; takes 5 s at most. */
  stop(): Promise<void> {
    this.stopped ??= this.shutDown();
    return this.stopped;
  }

  /** That the engines have, or load. */
  get loaded(): PipelineModel {
    return this.models.loaded;
  }

  /**
   * Draws with this model from now on: the engines, none of which may be reserved, load it. Rejects with the reason where none
   * can.
   */
  async use(model: PipelineModel): Promise<void> {
    const { signal } = this.stopping;
    this.models.choose(model);
    this.switches++;
    this.switching = true;
    try {
      for (const supervisor of this.supervisors) supervisor.restart();
      while (!this.draws && !signal.aborted) {
        const { state, reason = state } = this.status();
        if (state === 'failed') throw new Error(reason);
        await once(this.changes, 'change', { signal }).catch(() => {});
      }
    } finally {
      this.switching = false;
    }
  }

  status(): PipelineStatus {
    const engines = this.supervisors.map((supervisor) => supervisor.status());
    const { state, percent, reason, device } = best(engines);
    return {
      ...{ state, percent, reason, device },
      model: this.loaded.name,
      ...(this.switching && { switching: true as const }),
      engines,
      everReady: this.supervisors.some(({ everReady }) => everReady),
    };
  }

  /** Pixels of the largest picture that some engine draws; Infinity: that is seen when it is drawn. */
  get most(): number {
    return this.choice.most;
  }

  /** Whether it is all the same which engine draws it. */
  drawsEverywhere(size: Size): boolean {
    return this.choice.drawsEverywhere(size);
  }

  /** Whether some engine draws with these LoRAs without a change of its weights, which loads them all anew. */
  hasMerged(loras: EngineWish['loras']): boolean {
    return this.supervisors.some((supervisor) => supervisor.hasMerged(loras));
  }

  /** Whether an engine that is there or coming, and none of these, may draw it; `planned`: is planned to have the memory. */
  drawsElsewhere(size: Size, than: ReadonlySet<number>, planned = false): boolean {
    return this.choice.drawsElsewhere(size, than, planned);
  }

  /** See Ejection. */
  eject(id: number, request: GenerateRequest, error: ServiceError): () => void {
    return this.supervisors[id].ejection.eject(request, error);
  }

  /**
   * Resolves when a ready engine that will do is free and reserved for the caller; first come, first served. While none
   * is ready it waits. Rejects with OutOfMemory where no engine has the memory for the picture, with `otherwise` where
   * that is given and none is coming, with ServiceError `cancelled` once the signal aborts, `draining` once the service
   * stops.
   */
  acquire(wish: EngineWish = {}): Promise<EngineLease> {
    if (this.stopping.signal.aborted) return Promise.reject(this.draining);
    const lease = this.line.join(wish.signal, wish);
    this.serve();
    return lease;
  }

  /** Some engine is ready, or busy. */
  get draws(): boolean {
    return ['ready', 'busy'].includes(this.status().state);
  }

  /** Calls it whenever an engine's state has changed. */
  onChange(listener: () => void): void {
    this.changes.on('change', listener);
  }

  /** Resolves once pictures can be made, or `signal` is aborted; never, while neither comes. */
  async whenReady(signal?: AbortSignal): Promise<void> {
    await this.until(() => this.draws, signal);
  }

  /** Some engine is ready, and nobody's. */
  get free(): boolean {
    return this.supervisors.some(({ free }) => free);
  }

  /** Resolves once that is so, or `signal` is aborted. */
  async whenFree(signal: AbortSignal): Promise<void> {
    await this.until(() => this.free, signal);
  }

  /** Looks again at each change of an engine. */
  private async until(reached: () => boolean, signal?: AbortSignal): Promise<void> {
    while (!reached() && !signal?.aborted) await once(this.changes, 'change', { signal }).catch(() => {});
  }

  /** One that was taken away before it ever loaded gives way to the first. */
  private follow(): void {
    const usual = this.models.get()!;
    if (!this.models.isOffered && !this.draws && !this.switching) void this.use(usual).catch(() => {});
    this.changes.emit('change');
  }

  private get draining(): ServiceError {
    return this.stopping.signal.reason as ServiceError;
  }

  private serve(): void {
    // What fits depends on what is free when an engine is started: the next one of the same card may have less.
    this.line.dismiss((wish) => this.choice.refusal(wish));
    const suits = (supervisor: EngineSupervisor) => (wish?: EngineWish) =>
      this.choice.willDo(supervisor, wish) && supervisor.hasMerged(wish?.loras);
    const free = this.supervisors.filter((supervisor) => supervisor.free);
    const suited = free.filter((supervisor) => this.line.some(suits(supervisor)));
    for (const supervisor of new Set([...suited, ...free])) {
      if (this.line.length === 0) return;
      this.line.serve(
        () => this.reserve(supervisor),
        (wish) => this.choice.willDo(supervisor, wish),
        suits(supervisor),
      );
    }
  }

  private reserve(supervisor: EngineSupervisor): EngineLease {
    const { engine, release: free } = supervisor.reserve();
    const { config, stopping } = this;
    const { memory, embeddings } = supervisor;
    const hasMerged: Lender['hasMerged'] = (loras) => supervisor.hasMerged(loras);
    const drew: Lender['drew'] = (size, inTiles) => supervisor.drew(size, inTiles);
    const lender = { config, memory, embeddings, stopping: stopping.signal, hasMerged, drew, free };
    return new EngineLease(supervisor.id, engine, lender);
  }

  /** A worker that is ready is asked for the LoRAs that others have. */
  private async start(): Promise<void> {
    await this.loras?.start();
    const { signal } = this.stopping;
    if (signal.aborted) return;
    for (const supervisor of this.supervisors) supervisor.start();
    if (this.models.several) void this.whenReady(signal).then(() => this.models.fetchAll(signal));
  }

  private async shutDown(): Promise<void> {
    this.terminal.close();
    this.stopping.abort(drainingError());
    this.line.dismiss(() => this.draining);
    await Promise.all(this.supervisors.map((supervisor) => supervisor.stop()));
  }
}
