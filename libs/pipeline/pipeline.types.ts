import type { Size } from '@app/config';
import type { EngineFacts, EngineInfo } from './engine.protocol';

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

/** A reference picture for the IP-Adapter, decoded and cropped by libs/pictures/decode.ts. */
export interface Reference {
  /** REFERENCE_SIDE x REFERENCE_SIDE x 3 bytes, RGB, row by row. */
  readonly pixels: Buffer;
  /** IP-Adapter scale, 0..1. */
  readonly strength: number;
}

/** Everything that decides a picture: the same request on the same machine and model gives the same bytes. */
export interface GenerateRequest {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** Pixels; multiples of 64. */
  readonly width: number;
  readonly height: number;
  /** Sampling steps, 1..150. */
  readonly steps: number;
  /** Classifier-free guidance, 0..30. */
  readonly guidanceScale: number;
  /** 0..4294967295. */
  readonly seed: number;
  readonly loras: readonly LoraRequest[];
  readonly reference?: Reference;
}

/** Where a running job is. `text`: prompts are encoded; `image`: the reference picture is. */
export type Phase = 'queued' | 'text' | 'image' | 'sampling' | 'decoding';

export interface Progress {
  readonly phase: Phase;
  /** Sampling steps done, of `steps`. */
  readonly step: number;
  readonly steps: number;
}

/** Milliseconds that the engine spent in each phase. */
export interface EngineTimings {
  readonly text_ms: number;
  readonly image_ms: number;
  readonly sampling_ms: number;
  readonly decode_ms: number;
  /** generate_image from call to return. */
  readonly engine_ms: number;
  /** How long the engine had rested when it began, by its own clock; absent for the first picture of its process. */
  readonly idle_ms?: number;
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
  /** Engines that come last: only where no other is there or coming. */
  readonly avoid?: ReadonlySet<number>;
  readonly signal?: AbortSignal;
}

export interface GeneratedPicture {
  /** width x height x 3 bytes, RGB, row by row. */
  readonly pixels: Buffer;
  readonly width: number;
  readonly height: number;
  readonly timings: EngineTimings;
  /** Sentences for the caller, such as a LoRA that was applied in part. */
  readonly warnings: readonly string[];
}

export type PipelineState = 'starting' | 'loading' | 'warming' | 'ready' | 'busy' | 'failed' | 'stopped';

export interface EngineState {
  /** `ready`: free. `busy`: reserved. */
  readonly state: PipelineState;
  /** 0..100 while loading. */
  readonly percent?: number;
  /** Why the state is `failed`, in a sentence; or what the engine is doing. */
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
}

/** As a whole it is in the best of its engines' states: `failed` only when none is ready or coming. */
export interface PipelineStatus extends EngineState {
  /** The model's name as users know it (`demo`, a hub repository, a file name). */
  readonly model: string;
  readonly engines: readonly EngineStatus[];
  /** Some engine was ready once in this process: the model and the device work. */
  readonly everReady: boolean;
}
