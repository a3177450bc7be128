import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { isDemo, type Config } from '@app/config';
import { percent, progressLine, type ModelFiles } from '@app/models';
import { DeviceMemory } from './device.memory';
import type { LoadCommand } from './engine.messages';
import { EngineProcess } from './engine.process';
import type { ModelFinder } from './model.finder';
import type { EngineState, EngineStatus } from './pipeline.types';

/** What makes one engine different from the next. */
export interface EngineSetup {
  readonly id: number;
  /** Added to the environment of its processes. */
  readonly variables: Readonly<Record<string, string>>;
  readonly sharers: LoadCommand['sharers'];
  /** The file that its processes run. */
  readonly main: string;
}

/** Between attempts to bring up an engine that will not load: 1 s, doubled up to a minute. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const KILL_MS = 5_000;

/** Keeps one engine process alive, one after the other: brings it up, starts another when it died. */
export class EngineKeeper {
  readonly memory = new DeviceMemory();
  private readonly logger: Logger;
  private readonly stopping = new AbortController();
  private engine?: EngineProcess;
  /** Held by a lease; one that died and was replaced is of no matter to its successor. */
  private reserved?: EngineProcess;
  private current: EngineState = { state: 'starting' };
  private device: EngineState['device'];
  private wasReady = false;

  constructor(
    private readonly config: Config,
    private readonly model: ModelFinder,
    private readonly setup: EngineSetup,
    /** Called whenever its status changed, but not by `reserve`. */
    private readonly changed: () => void,
  ) {
    this.logger = new Logger(`Engine ${setup.id}`);
  }

  /** In the background, until `stop`. */
  start(): void {
    void this.keep();
  }

  /** The engine is killed; its picture ends with EngineCrashed. */
  async stop(): Promise<void> {
    this.update({ state: 'stopped', reason: 'the service is stopping' });
    this.stopping.abort();
    this.engine?.kill();
    // A process that hangs in a driver cannot even be killed; it must not keep the service.
    await Promise.race([this.engine?.exited(), sleep(KILL_MS, undefined, { ref: false })]);
  }

  status(): EngineStatus {
    const { id } = this.setup;
    const { device } = this;
    if (this.current.state !== 'ready') return { id, ...this.current, device };
    if (!this.engine?.alive) return { id, state: 'starting', device };
    return { id, state: this.free ? 'ready' : 'busy', device };
  }

  get free(): boolean {
    return this.current.state === 'ready' && this.engine?.alive === true && this.reserved !== this.engine;
  }

  get everReady(): boolean {
    return this.wasReady;
  }

  /** Takes the engine, which must be `free`; it is again once `release` was called, which is to be called once. */
  reserve(): { readonly engine: EngineProcess; readonly release: () => void } {
    const { engine } = this;
    if (!engine || !this.free) throw new Error('The engine is not free');
    this.reserved = engine;
    const release = () => {
      if (this.reserved === engine) this.reserved = undefined;
      this.changed();
    };
    return { engine, release };
  }

  private update(current: EngineState): void {
    if (this.stopping.signal.aborted) return; // stopped is the last state
    this.current = current;
    this.wasReady ||= current.state === 'ready';
    this.changed();
  }

  private async keep(): Promise<void> {
    const { signal } = this.stopping;
    for (let pause = 0; !signal.aborted;) {
      try {
        await this.bringUp();
        const born = performance.now();
        await this.engine?.exited();
        if (signal.aborted) return;
        this.logger.error('The engine process died; starting another');
        this.update({ state: 'starting', reason: 'the engine process died and is restarted' });
        // One death is bad luck; an engine that keeps dying young must not reload gigabytes without a pause.
        if (performance.now() - born > LONGEST_PAUSE_MS) pause = 0;
        await sleep(pause, undefined, { signal }).catch(() => {});
        pause = Math.min(Math.max(2 * pause, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
      } catch (error) {
        if (signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        pause = Math.max(pause, FIRST_PAUSE_MS);
        this.update({ state: 'failed', reason });
        this.logger.error(`${reason} (next attempt in ${pause / 1000} s)`);
        await this.engine?.exited();
        await sleep(pause, undefined, { signal }).catch(() => {});
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      }
    }
  }

  /** From nothing to a loaded engine. Rejects with the reason; then the process is gone. */
  private async bringUp(): Promise<void> {
    const files = await this.model.find((progress) =>
      this.update({ state: 'loading', percent: percent(progress), reason: progressLine(progress) }),
    );
    if (this.stopping.signal.aborted) return;
    const loading = (done: number) =>
      this.update({ state: 'loading', percent: Math.round(done), reason: 'loading the model' });
    loading(0);
    const warming = () => this.update({ state: 'warming', reason: 'drawing a first picture' });
    const log = (level: 'warn' | 'error', line: string) => this.logger[level](`engine: ${line}`);
    const { variables, main } = this.setup;
    const engine = new EngineProcess({ loading, warming, log }, variables, main);
    this.engine = engine;
    try {
      const { device } = await engine.load(this.loadCommand(files));
      this.device = device;
      this.update({ state: 'ready' });
      this.logger.log(`Ready: ${files.name} on ${device.name} (${device.description})`);
    } catch (error) {
      engine.kill();
      this.model.doubt(files);
      throw error;
    }
  }

  private loadCommand({ checkpoint, vae, ipAdapter, clipVision }: ModelFiles): Omit<LoadCommand, 'type'> {
    const { ENGINE_THREADS: threads, TEXT_ENCODER_TYPE, REQUIRE_GPU: requireGpu } = this.config;
    const textEncoderType = TEXT_ENCODER_TYPE ?? (isDemo(this.config) ? 'q8_0' : 'native');
    const options = { model: checkpoint, vae, ipAdapter, clipVision, threads, textEncoderType };
    return { options, requireGpu, sharers: this.setup.sharers };
  }
}
