import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { findLora, findUpscaler, listLoras, listUpscalers, type LoraAbout, type Upscaler } from '@app/models';
import { PipelineService } from '@app/pipeline';

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

  /** Names of the models that draw, as users know them; none: that is not known yet. */
  abstract readonly models: readonly string[];

  /** Engines that share the queue, at least 1. */
  abstract readonly engines: number;

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
  ) {
    super();
  }

  get hasIpAdapter(): boolean {
    return this.pipeline.hasIpAdapter;
  }

  get hasPhotoMaker(): boolean {
    return this.pipeline.hasPhotoMaker;
  }

  get models(): readonly string[] {
    return [this.pipeline.status().model];
  }

  get engines(): number {
    return Math.max(1, this.config.ENGINE_DEVICES.length || this.config.ENGINE_PROCESSES);
  }

  get mostPixels(): number {
    return this.pipeline.most;
  }

  get embeddings(): readonly AvailableEmbedding[] {
    return this.pipeline.embeddings;
  }

  whenKnown(signal: AbortSignal): Promise<void> {
    return this.pipeline.whenReady(signal);
  }

  get controlNets(): readonly string[] {
    return this.pipeline.controlNets.map(({ name }) => name);
  }

  /** Busy is fine, and so is an engine that is started again; a model that was never there may never come. */
  assertAccepting(): void {
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
    return listLoras(this.pipeline.loraDir);
  }

  lora(name: string): Promise<AvailableLora> {
    return findLora(this.pipeline.loraDir, name);
  }

  upscalers(): Promise<readonly AvailableUpscaler[]> {
    return listUpscalers(this.pipeline.upscalerDir);
  }

  upscaler(name: string): Promise<AvailableUpscaler> {
    return findUpscaler(this.pipeline.upscalerDir, name);
  }
}
