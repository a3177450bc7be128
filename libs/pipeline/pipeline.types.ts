import type { Size } from '@app/config';
import type { ServiceError } from '@app/errors';
import type { EngineFacts, EngineInfo, EnginePicture, GenerateOptions } from './engine.protocol';

export interface LoraRequest {
  /** The file's name in LORA_DIR without `.safetensors`. */
  readonly name: string;
  /** Absolute path of the file. */
  readonly path: string;
  /** Strength, -2..2. */
  readonly scale: number;
  /** Tensors in the file; fewer applied than this brings a warning. */
  readonly tensors: number;
}

/** Everything that decides a picture: the same request on the same machine and model gives the same bytes. */
export interface GenerateRequest extends Omit<GenerateOptions, 'loras' | 'previews' | 'vaeTiling'> {
  readonly negativePrompt: string;
  readonly loras: readonly LoraRequest[];
}

/** Where a running job is. `text`: prompts are encoded; `image`: the reference picture is. */
export type Phase = 'queued' | 'text' | 'image' | 'sampling' | 'decoding';

export interface Progress {
  readonly phase: Phase;
  /** Sampling steps done, of `steps`. */
  readonly step: number;
  readonly steps: number;
}

/** A small picture of the latent as it is after `step`. */
export interface Preview {
  /** width x height x 3 bytes, RGB, row by row. */
  readonly pixels: Buffer;
  /** 1/8 of the picture's. */
  readonly width: number;
  readonly height: number;
  readonly step: number;
}

export interface GenerateListeners {
  /** Aborted: the engine stops at its next check; generate() rejects with `cancelled`. */
  readonly signal?: AbortSignal;
  onProgress?(progress: Progress): void;
  onPreview?(preview: Preview): void;
  /** Asked at every progress; previews are made while it answers true. Rejected: as answered last. */
  previewsWanted?(): Promise<boolean>;
}

/** Which engine will do. */
export interface EngineWish {
  /** Of the picture; absent: any. */
  readonly size?: Size;
  /** Of the picture: an engine that has them merged into its weights is preferred. */
  readonly loras?: GenerateOptions['loras'];
  /** Engines that come last: only where no other is there or coming. */
  readonly avoid?: ReadonlySet<number>;
  /** Who waits leaves with this error when no engine is there or coming; absent: waits on. */
  readonly otherwise?: ServiceError;
  readonly signal?: AbortSignal;
}

/** What the engine drew, its times in milliseconds. */
export interface GeneratedPicture extends Pick<
  EnginePicture,
  'pixels' | 'width' | 'height' | 'timings' | 'idle'
> {
  /** Sentences for the caller, such as a LoRA that was applied in part. */
  readonly warnings: readonly string[];
  /** Its LoRAs had to be merged into the weights first, or others taken out of them. */
  readonly mergedAnew: boolean;
}

export type PipelineState = 'starting' | 'loading' | 'warming' | 'ready' | 'busy' | 'failed' | 'stopped';

export interface EngineState {
  /** `ready`: free. `busy`: reserved. */
  readonly state: PipelineState;
  /** 0..100 while loading. */
  readonly percent?: number;
  /** Why the state is `failed`, in a sentence; or what the engine is doing, or why it gets no pictures of some size. */
  readonly reason?: string;
  /** The device that the engine runs on, once known: `CPU` or `CUDA0`, its description, and whether it is a GPU. */
  readonly device?: { readonly name: string; readonly description: string; readonly gpu: boolean };
}

export interface EngineStatus extends EngineState {
  /** Counts from 0, in the order of ENGINE_DEVICES. */
  readonly id: number;
  /** Which engine it is and what it found on this machine, once it was opened. */
  readonly facts?: EngineFacts;
  /** How it computes on its device, once loaded. */
  readonly settings?: EngineInfo['settings'];
  /** What its device's memory is used for, in a sentence, where that is planned. */
  readonly plan?: string;
  /** How often and why its process ended, or did not come up. */
  readonly exits?: Readonly<Record<'died' | 'out_of_memory' | 'failed', number>>;
}

/** As a whole it is in the best of its engines' states: `failed` only when none is ready or coming. */
export interface PipelineStatus extends EngineState {
  /** The model's name as users know it (`demo`, a hub repository, a file name). */
  readonly model: string;
  /** It is being loaded in the place of another, with which pictures were drawn until now. */
  readonly switching?: true;
  readonly engines: readonly EngineStatus[];
  /** Some engine was ready once in this process: the model and the device work. */
  readonly everReady: boolean;
}
