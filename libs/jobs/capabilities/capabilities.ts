import { Injectable, Optional } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { findLora, findUpscaler, listLoras, listUpscalers, type LoraAbout, type Upscaler } from '@app/models';
import { PipelineService, type PipelineModel } from '@app/pipeline';

export interface AvailableLora {
  readonly name: string;
  /** Tensors in its file. */
  readonly tensors: number;
  readonly sha256: string;
  /** Absent: a worker of an earlier version has it. */
  readonly about?: LoraAbout;
}

export type AvailableUpscaler = Omit<Upscaler, 'path'>;

export interface AvailableEmbedding {
  /** The word of a prompt. */
  readonly name: string;
  /** Tokens that it takes. */
  readonly vectors: number;
  readonly sha256: string;
}

/**
 * What can be asked for now, wherever it is drawn. Two kinds: this process draws itself (LocalCapabilities), or workers
 * elsewhere do (FleetCapabilities). This class is also the injection token.
 */
export abstract class Capabilities {
  /** Whether reference pictures can be used. */
  abstract readonly hasIpAdapter: boolean;

  /** Whether likeness can come from PhotoMaker. */
  abstract readonly hasPhotoMaker: boolean;

  /** Names of the models that draw where none is named, as users know them; none: that is not known yet. */
  abstract readonly models: readonly string[];

  /** Those that engines have now. */
  abstract readonly loaded: readonly string[];

  /** What can be asked for with one of several models; all else is about that which is drawn with where none is named. */
  abstract of(model: string): Capabilities;

  /** Engines that share the queue, at least 1. */
  abstract readonly engines: number;

  /** Whether anybody is there who draws; else jobs wait for a worker to start. */
  abstract readonly hasWorkers: boolean;

  /** Pixels of the largest picture that some engine has the memory for; Infinity: that is seen when it is drawn. */
  abstract readonly mostPixels: number;

  /** Textual inversions, which prompts name. */
  abstract readonly embeddings: readonly AvailableEmbedding[];

  /** Resolves once it is known what there is, and when the signal is aborted. */
  abstract whenKnown(signal: AbortSignal): Promise<void>;

  /** Names of the ControlNets. */
  abstract readonly controlNets: readonly string[];

  /** Throws `engine_not_ready` when a job that is taken now might never run. */
  abstract assertAccepting(): void;

  abstract loras(): Promise<readonly AvailableLora[]>;

  /** Throws `lora_not_found`, naming what there is. */
  abstract lora(name: string): Promise<AvailableLora>;

  abstract upscalers(): Promise<readonly AvailableUpscaler[]>;

  /** Throws `upscaler_not_found`, likewise. */
  abstract upscaler(name: string): Promise<AvailableUpscaler>;
}

/** This process draws. */
@Injectable()
export class LocalCapabilities extends Capabilities {
  constructor(
    private readonly config: Config,
    private readonly pipeline: PipelineService,
    @Optional() private readonly name?: string,
  ) {
    super();
  }

  get hasIpAdapter(): boolean {
    return this.model.hasIpAdapter;
  }

  get hasPhotoMaker(): boolean {
    return this.model.hasPhotoMaker;
  }

  get models(): readonly string[] {
    return [this.pipeline.models.get()!.name];
  }

  get loaded(): readonly string[] {
    return [this.pipeline.loaded.name];
  }

  of(model: string): Capabilities {
    return new LocalCapabilities(this.config, this.pipeline, model);
  }

  get engines(): number {
    return Math.max(1, this.config.ENGINE_DEVICES.length || this.config.ENGINE_PROCESSES);
  }

  get hasWorkers(): boolean {
    return true;
  }

  get mostPixels(): number {
    return this.pipeline.most;
  }

  get embeddings(): readonly AvailableEmbedding[] {
    return this.model.embeddings;
  }

  whenKnown(signal: AbortSignal): Promise<void> {
    return this.pipeline.whenReady(signal);
  }

  get controlNets(): readonly string[] {
    return this.model.controlNets.map(({ name }) => name);
  }

  /** Busy is fine, and so is an engine that is started again; a model that was never there may never come. */
  assertAccepting(): void {
    this.assertHere();
    const { state, reason, percent, everReady } = this.pipeline.status();
    if (state === 'ready' || state === 'busy') return;
    if (state === 'failed' || state === 'stopped') {
      const sentence = `The engine is not running${reason ? `: ${reason}` : ''}`;
      throw new ServiceError('engine_not_ready', sentence, undefined, { retryAfter: 30 });
    }
    if (everReady) return;
    const done = percent === undefined ? '' : ` (${Math.floor(percent)} %)`;
    throw new ServiceError('engine_not_ready', `The model is not loaded yet: ${state}${done}`);
  }

  loras(): Promise<readonly AvailableLora[]> {
    return listLoras(this.model.loraDir);
  }

  lora(name: string): Promise<AvailableLora> {
    return findLora(this.model.loraDir, name);
  }

  upscalers(): Promise<readonly AvailableUpscaler[]> {
    return listUpscalers(this.model.upscalerDir);
  }

  upscaler(name: string): Promise<AvailableUpscaler> {
    return findUpscaler(this.model.upscalerDir, name);
  }

  /** It may have been taken away since it was asked for. */
  private get model(): PipelineModel {
    const { models } = this.pipeline;
    return models.get(this.name) ?? models.get()!;
  }

  private assertHere(): void {
    const { model } = this;
    const { several, loaded } = this.pipeline.models;
    if (!several || model === loaded || model.isHere) return;
    const sentence = `The model ${model.name} is not here yet${model.problem ? `: ${model.problem}` : ''}`;
    throw new ServiceError('engine_not_ready', sentence, 'model', { retryAfter: 30 });
  }
}
