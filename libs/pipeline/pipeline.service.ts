import { EventEmitter, once } from 'node:events';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Config, isDemo } from '@app/config';
import { ServiceError } from '@app/errors';
import { ModelsService, percent, progressLine, TerminalProgress, type ModelFiles } from '@app/models';
import { EngineFailure, EngineProcess } from './engine.process';
import type { EngineInfo, Generated } from './engine.messages';
import type { GenerateRequest, GeneratedPicture, PipelineStatus, Progress } from './pipeline.types';
import { Turns } from './turns';

export interface GenerateListeners {
  /** Aborted: a waiting job leaves the line, a running one stops; generate() rejects with `cancelled`. */
  readonly signal?: AbortSignal;
  onProgress?(progress: Progress): void;
}

/** Between attempts to bring up an engine that will not load: 1 s, doubled up to a minute. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * The one pipeline: finds the model, keeps an engine process with it alive, and hands it one job at a time in the
 * order in which they came. Everything above speaks of pictures, everything below of processes.
 */
@Injectable()
export class PipelineService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Pipeline');
  private readonly turns = new Turns();
  private readonly stopping = new AbortController();
  private engine?: EngineProcess;
  private info?: EngineInfo;
  private files?: ModelFiles;
  private current: Pick<PipelineStatus, 'state' | 'percent' | 'reason'> = { state: 'starting' };
  private readonly changes = new EventEmitter<{ change: [] }>();

  constructor(
    private readonly config: Config,
    private readonly models: ModelsService,
  ) {}

  /** Starts in the background: the service answers health checks while gigabytes load. */
  onApplicationBootstrap(): void {
    void this.keepEngine();
  }

  /** Jobs end with `draining`, the engine is killed: the callers' replies still go out before the server closes. */
  async beforeApplicationShutdown(): Promise<void> {
    this.update({ state: 'stopped', reason: 'the service is stopping' });
    this.stopping.abort();
    this.engine?.kill();
    await this.engine?.exited();
  }

  /** Whether reference pictures can be used; before the model is known, whether they are wanted. */
  get hasIpAdapter(): boolean {
    return this.config.ENABLE_IP_ADAPTER && (this.files === undefined || this.files.ipAdapter !== undefined);
  }

  /** Where this model's LoRAs lie, once known. */
  get loraDir(): string | undefined {
    return this.files?.loraDir;
  }

  status(): PipelineStatus {
    const busy = this.current.state === 'ready' && this.turns.taken;
    return {
      ...this.current,
      state: busy ? 'busy' : this.current.state,
      device: this.info?.device,
      model: this.files?.name ?? this.wantedModel(),
      waiting: this.turns.waiting,
    };
  }

  /** Before the model is found; a file goes by its name, its folder is nobody's business. */
  private wantedModel(): string {
    const { MODEL_FILE, MODEL_PATH } = this.config;
    if (MODEL_FILE) return basename(MODEL_FILE);
    return /^[./~]/.test(MODEL_PATH) ? basename(MODEL_PATH) : MODEL_PATH;
  }

  /**
   * Draws one picture when its turn comes. Rejects with ServiceError: `engine_not_ready`, `engine_crashed`,
   * `draining` (try again), `cancelled`, `lora_not_applied`, `out_of_memory`, `generation_failed`.
   */
  async generate(request: GenerateRequest, listeners: GenerateListeners = {}): Promise<GeneratedPicture> {
    const asked = performance.now();
    const progress = (phase: Progress['phase'], step = 0) =>
      listeners.onProgress?.({ phase, step, steps: request.steps });
    progress('queued');
    const leave = await this.turns.take(listeners.signal);
    const queue_ms = performance.now() - asked;
    try {
      const engine = await this.readyEngine(listeners.signal);
      const generated = await engine.generate(
        { ...request, loras: request.loras.map(({ path, scale }) => ({ path, scale })) },
        listeners.signal,
        ({ phase, step }) => progress(phase, step),
      );
      const { text, image, sampling, decode, engine: engine_ms } = generated.timings;
      const timings = {
        queue_ms,
        text_ms: text,
        image_ms: image,
        sampling_ms: sampling,
        decode_ms: decode,
        engine_ms,
      };
      const { pixels, width, height } = generated;
      return { pixels, width, height, timings, warnings: this.checkLoras(request, generated) };
    } catch (error) {
      throw this.explain(error);
    } finally {
      leave();
    }
  }

  /** Resolves once pictures can be made; never, while that does not come. */
  async whenReady(): Promise<void> {
    while (this.current.state !== 'ready') await once(this.changes, 'change');
  }

  /** A job whose turn comes while the engine is brought up again waits for that; not for one that cannot load. */
  private async readyEngine(signal?: AbortSignal): Promise<EngineProcess> {
    const comes = () =>
      ['starting', 'loading', 'warming'].includes(this.current.state) ||
      (this.current.state === 'ready' && !this.engine?.alive);
    while (comes()) {
      await once(this.changes, 'change', { signal }).catch(() => {
        throw new ServiceError('cancelled', 'The request was cancelled while it waited.');
      });
    }
    if (this.engine && this.current.state === 'ready') return this.engine;
    const { state, reason } = this.current;
    throw new ServiceError(
      'engine_not_ready',
      `The engine is not ready: ${reason ?? state}. Try again later.`,
    );
  }

  /** A LoRA of which nothing fits is refused by the addon; one that fits in part is told. */
  private checkLoras(request: GenerateRequest, generated: Generated): string[] {
    return request.loras.flatMap((lora) => {
      const applied = generated.loras.find((entry) => entry.path === lora.path);
      const total = Math.max(lora.tensors, applied?.total ?? 0);
      if (applied && applied.applied >= total) return [];
      const sentence = `LoRA "${lora.name}" fits the model only in part: ${applied?.applied ?? 0} of ${total} tensors were applied.`;
      if (this.config.LORA_STRICT) throw new ServiceError('lora_not_applied', sentence, 'loras');
      return [sentence];
    });
  }

  private explain(error: unknown): unknown {
    if (this.stopping.signal.aborted)
      return new ServiceError('draining', 'The service is stopping; try again.');
    if (!(error instanceof EngineFailure)) return error;
    const options = { cause: error };
    switch (error.code) {
      case 'cancelled':
        return new ServiceError('cancelled', 'The request was cancelled.', undefined, options);
      case 'lora_not_applied':
        return new ServiceError('lora_not_applied', `${error.message}.`, 'loras', options);
      case 'out_of_memory':
        return new ServiceError(
          'out_of_memory',
          `${error.message}. Ask for a smaller size.`,
          'size',
          options,
        );
      case 'generation_failed':
      case 'ip_adapter_not_applied':
        return new ServiceError('generation_failed', `${error.message}.`, undefined, options);
      default:
        return error;
    }
  }

  private update(current: typeof this.current): void {
    if (this.stopping.signal.aborted) return; // stopped is the last state
    this.current = current;
    this.changes.emit('change');
  }

  /** Brings up one engine process after the other until the service stops. */
  private async keepEngine(): Promise<void> {
    const { signal } = this.stopping;
    for (let pause = FIRST_PAUSE_MS; !signal.aborted;) {
      try {
        await this.bringUp();
        pause = FIRST_PAUSE_MS;
        await this.engine?.exited();
        if (!signal.aborted) this.logger.error('The engine process died; starting another');
        this.update({ state: 'starting', reason: 'the engine process died and is restarted' });
      } catch (error) {
        if (signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        this.update({ state: 'failed', reason });
        this.logger.error(`${reason} (next attempt in ${pause / 1000} s)`);
        await this.engine?.exited();
        await sleep(pause, undefined, { signal }).catch(() => {});
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      }
    }
  }

  private async fetchModel(): Promise<ModelFiles> {
    const terminal = new TerminalProgress();
    try {
      return await this.models.resolve((progress) => {
        terminal.report(progress);
        this.update({ state: 'loading', percent: percent(progress), reason: progressLine(progress) });
      });
    } finally {
      terminal.stop();
    }
  }

  /** From nothing to a loaded engine. Rejects with the reason; then the process is gone. */
  private async bringUp(): Promise<void> {
    this.update({ state: 'starting' });
    this.files ??= await this.fetchModel();
    if (this.stopping.signal.aborted) return;
    this.update({ state: 'loading', percent: 0, reason: 'loading the model' });
    const engine = new EngineProcess({
      loading: (done) =>
        this.update({ state: 'loading', percent: Math.round(done), reason: 'loading the model' }),
      warming: () => this.update({ state: 'warming', reason: 'drawing a first picture' }),
      log: (level, line) => this.logger[level](`engine: ${line}`),
    });
    this.engine = engine;
    try {
      const { checkpoint: model, vae, ipAdapter, clipVision } = this.files;
      const { ENGINE_THREADS: threads, TEXT_ENCODER_TYPE } = this.config;
      const textEncoderType = TEXT_ENCODER_TYPE ?? (isDemo(this.config) ? 'q8_0' : 'native');
      const options = { model, vae, ipAdapter, clipVision, threads, textEncoderType };
      this.info = await engine.load({ options, requireGpu: this.config.REQUIRE_GPU });
      this.update({ state: 'ready' });
      this.logger.log(
        `Ready: ${this.files.name} on ${this.info.device.name} (${this.info.device.description})`,
      );
    } catch (error) {
      engine.kill();
      throw error;
    }
  }
}
