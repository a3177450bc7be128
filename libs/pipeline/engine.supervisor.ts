import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { Config, Size } from '@app/config';
import { percent, progressLine, type Embedding, type ModelFiles } from '@app/models';
import { DeviceMemory } from './device.memory';
import { Ejection } from './ejection';
import { EngineCrashed } from './engine.errors';
import type { EngineFacts, EngineInfo, GenerateOptions, Device } from './engine.protocol';
import { toLog } from './engine.listeners';
import { EngineProcess } from './engine.process';
import type { EngineSetup } from './engine.setup';
import { loadCommand } from './load.command';
import { loraSet } from './lora.set';
import { PhaseBounds } from './phase.bounds';
import type { PipelineModels } from './pipeline.models';
import type { EngineState, EngineStatus } from './pipeline.types';
import { prove } from './probe.picture';
import { RestartPolicy } from './restart.policy';

/** Keeps one engine process alive, one after the other: brings it up, starts another when it died. */
export class EngineSupervisor {
  readonly memory: DeviceMemory;
  readonly ejection: Ejection;
  /** That its engine was loaded with. */
  embeddings: readonly Embedding[] = [];
  private readonly logger: Logger;
  private readonly stopping = new AbortController();
  private readonly bounds: PhaseBounds;
  private readonly restarts = new RestartPolicy();
  private engine?: EngineProcess;
  /** Held by a lease; one that died and was replaced does not concern its successor. */
  private reserved?: EngineProcess;
  private current: EngineState = { state: 'starting' };
  private device: EngineState['device'];
  private facts?: EngineFacts;
  private settings?: EngineInfo['settings'];
  /** Files that its last process could not load. */
  private doubted?: ModelFiles;
  everReady = false;
  /** Its process is ended for another model: that is no death. */
  private replaced = false;
  private pause = new AbortController();

  constructor(
    private readonly config: Config,
    private readonly model: Pick<PipelineModels, 'name' | 'config' | 'find'>,
    private readonly setup: EngineSetup,
    /** Called whenever its status changed, but not by `reserve`. */
    private readonly changed: () => void,
  ) {
    this.logger = new Logger(`Engine ${setup.id}`);
    this.memory = new DeviceMemory(config.VAE_TILING);
    this.ejection = new Ejection(setup.id, this.memory, this.logger, () => this.probeIfDue());
    this.bounds = new PhaseBounds(config.PHASE_TIMEOUT * 1_000);
  }

  /** In the background, until `stop`. */
  start(): void {
    void this.supervise();
  }

  /** Ends the process, which must be free; the next one loads what `model` finds then. */
  restart(): void {
    this.replaced = true;
    this.update({ state: 'loading', reason: 'another model' });
    this.pause.abort();
    this.engine?.kill();
  }

  /** The engine is killed; its picture ends with EngineCrashed. */
  async stop(): Promise<void> {
    this.update({ state: 'stopped', reason: 'the service is stopping' });
    this.stopping.abort();
    this.ejection.stop();
    this.engine?.kill();
    await this.engine?.exited();
  }

  status(): EngineStatus {
    const { device, facts, settings } = this;
    const plan = this.memory.plan?.sentence;
    const known = { id: this.setup.id, device, facts, settings, plan, exits: this.restarts.exits };
    if (this.current.state !== 'ready') return { ...known, ...this.current };
    if (!this.engine?.alive) return { ...known, state: 'starting' };
    return { ...known, state: this.free ? 'ready' : 'busy', reason: this.ejection.reason };
  }

  get id(): number {
    return this.setup.id;
  }

  /** It is there, or is coming. */
  get hopeful(): boolean {
    return !['failed', 'stopped'].includes(this.current.state);
  }

  get free(): boolean {
    return this.current.state === 'ready' && this.engine?.alive === true && this.reserved !== this.engine;
  }

  /** Draws with these LoRAs without a change of its weights. */
  hasMerged(loras: GenerateOptions['loras']): boolean {
    return this.config.LORA_MODE !== 'merged' || this.engine?.loras === loraSet(loras);
  }

  /** It finished a caller's picture. */
  drew(size: Size, inTiles: boolean): void {
    this.restarts.drew();
    this.ejection.drew(size);
    this.memory.drew(size, inTiles);
  }

  /** Takes the engine, which must be `free`; it is free again after `release`, which must be called once. */
  reserve(): { readonly engine: EngineProcess; readonly release: () => void } {
    const { engine } = this;
    if (!engine || !this.free) throw new Error('The engine is not free');
    this.reserved = engine;
    const release = () => {
      if (this.reserved === engine) this.reserved = undefined;
      this.probeIfDue();
      this.changed();
    };
    return { engine, release };
  }

  private update(current: EngineState): void {
    if (this.stopping.signal.aborted) return; // stopped is the last state
    this.current = current;
    this.everReady ||= current.state === 'ready';
    this.probeIfDue();
    this.changed();
  }

  /** Before anybody gets it who waits. */
  private probeIfDue(): void {
    if (this.free) this.ejection.probeIfDue(() => this.reserve(), this.bounds.onCpu);
  }

  private async supervise(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const end = await this.live();
      if (!end || signal.aborted) continue;
      const { state, reason, pause } = end;
      const again = pause === 0 ? '' : `; next attempt in ${(pause / 1000).toFixed(1)} s`;
      this.logger.error({ deaths: this.restarts.deaths }, `${reason}${again}`);
      this.update({ state, reason });
      this.pause = new AbortController();
      await sleep(pause, undefined, { signal: AbortSignal.any([signal, this.pause.signal]) }).catch(() => {});
    }
  }

  /** One process from its start to its end: why there is none now, and how long until the next one; undefined: replaced. */
  private async live(): Promise<(EngineState & { readonly pause: number }) | undefined> {
    const { restarts } = this;
    this.replaced = false;
    let wasUp = false;
    try {
      await this.bringUp();
      wasUp = true;
      await this.engine?.exited();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      await this.engine?.exited();
      if (!this.replaced && !(error instanceof EngineCrashed))
        return { state: 'failed', reason, pause: restarts.failed() };
    }
    if (this.replaced) return undefined;
    const { how: death = 'no process', picture, outOfMemory } = this.engine?.death ?? {};
    const { state, reason: doing } = this.current;
    const how = state === 'warming' ? `${death}, ${doing}` : death;
    const pause = wasUp && picture && outOfMemory ? restarts.outgrown() : restarts.died(picture);
    if (!restarts.open) return { state: 'starting', reason: `the engine process died (${how})`, pause };
    const reason = `the engine process died ${restarts.deaths} times in a row and finished no picture (${how}); jobs wait until it has drawn a probe picture`;
    return { state: 'failed', reason, pause };
  }

  /**
   * From nothing to a loaded engine. Rejects with the reason; then the process is gone. The device comes first: what is
   * wrong with it shows in a second, and the model may take an hour to download.
   */
  private async bringUp(): Promise<void> {
    const { device, share, terminal } = this.setup;
    const engine = this.startProcess();
    try {
      await engine.open({ device, requireGpu: this.config.REQUIRE_GPU });
      const files = await this.model.find(
        (progress) =>
          this.update({ state: 'loading', percent: percent(progress), reason: progressLine(progress) }),
        this.doubted,
      );
      const load_ms = await (share ? share.inTurn(() => this.load(engine, files)) : this.load(engine, files));
      const warming = (reason: string) => this.update({ state: 'warming', reason });
      await prove(engine, this.restarts, this.bounds.onCpu, warming);
      this.restarts.loaded();
      this.update({ state: 'ready' });
      const { name, description } = this.device ?? {};
      this.logger.log({ load_ms }, `Ready: ${this.model.name} on ${name} (${description})`);
    } catch (error) {
      engine.kill();
      throw error;
    } finally {
      terminal?.stop();
    }
  }

  private startProcess(): EngineProcess {
    const { variables, main, terminal } = this.setup;
    const opened = (facts: EngineFacts) => void (this.facts = facts);
    const chosen = (device: Device) => {
      this.device = device;
      this.bounds.onCpu = !device.gpu;
    };
    const loading = (done: number) => this.loading(done);
    const warming = (path?: string) => {
      terminal?.stop();
      this.update({ state: 'warming', reason: `drawing a first picture${path ? ` with ${path}` : ''}` });
    };
    const listeners = { opened, chosen, loading, warming, log: toLog(this.logger) };
    this.engine = new EngineProcess(listeners, this.bounds, variables, main);
    return this.engine;
  }

  private loading(done: number): void {
    this.update({ state: 'loading', percent: Math.round(done), reason: 'loading the model' });
    this.setup.terminal?.report({ phase: 'load', file: 'the model', done, total: 100 });
  }

  /** Returns how long it took, in milliseconds. */
  private async load(engine: EngineProcess, files: ModelFiles): Promise<number> {
    const begun = performance.now();
    this.loading(0);
    try {
      const info = await engine.load(await loadCommand(this.model.config, this.setup, files));
      this.setup.terminal?.stop();
      this.doubted = undefined;
      this.settings = info.settings;
      this.embeddings = files.embeddings ?? [];
      this.memory.loaded(info.plan);
      this.setup.share?.promise(this.setup.id, info.promised ?? 0);
      if (info.plan) this.logger.log(info.plan.sentence);
      return Math.round(performance.now() - begun);
    } catch (error) {
      this.doubted = files;
      throw error;
    }
  }
}
