import type { Size } from '@app/config';
import type { Share } from './card.share';
import type { WeightSizes } from '@app/models';
import type {
  BackEnd,
  Device,
  EngineVersion,
  Generated,
  GenerateOptions,
  GenerateProgress,
  LoadOptions,
} from '#native';

/** What the service and its engine process say to each other, over Node's IPC with `serialization: 'advanced'`. */

/** Before the model is known: a device that cannot be used is told before anything is downloaded for it. */
export interface OpenCommand {
  readonly type: 'open';
  /** As in ENGINE_DEVICES; undefined: the first GPU, else the processor. */
  readonly device?: string;
  readonly requireGpu: boolean;
  /** Milliseconds between two signs of life. */
  readonly heartbeat: number;
}

export interface LoadCommand {
  readonly type: 'load';
  readonly options: Pick<
    LoadOptions,
    | 'model'
    | 'vae'
    | 'ipAdapter'
    | 'clipVision'
    | 'embeddings'
    | 'photoMaker'
    | 'threads'
    | 'textEncoderType'
    | 'imageEncoderType'
    | 'loraMode'
    // Undefined: where they pay.
    | 'flashAttention'
    | 'vaeDirectConvolution'
    | 'unetDirectConvolution'
  >;
  /** One of those that may be asked for. */
  readonly lora?: { readonly name: string; readonly path: string };
  /** Undefined: what the model takes is not known before it is loaded. */
  readonly memory?: MemoryWish;
  /** Engine processes that share the processors: without `threads` each takes its part of the physical cores. */
  readonly sharers: number;
}

/** Service -> engine. `id` names a picture; what is said about another one than the running is ignored. */
export type EngineCommand =
  | OpenCommand
  | LoadCommand
  | { readonly type: 'generate'; readonly id: number; readonly options: GenerateOptions }
  | { readonly type: 'previews'; readonly id: number; readonly on: boolean }
  | { readonly type: 'cancel'; readonly id: number };

/** What the engine is and what it found on this machine, before a model is loaded. */
export interface EngineFacts {
  readonly version: EngineVersion;
  readonly devices: readonly Device[];
  readonly backEnds: readonly BackEnd[];
}

/** `auto`: what is best for the default picture. `fast`: all weights stay on the card. `small`: as little as there is. */
export type PlanWish = 'auto' | 'fast' | 'small';

/** What a plan of the device's memory is made for. */
export interface MemoryWish extends Partial<Share> {
  readonly plan: PlanWish;
  readonly weights: WeightSizes;
  /** Bytes of the largest LoRA; undefined: there are none. */
  readonly loras?: number;
  /** The picture that should be decoded at once. */
  readonly goal: Size;
}

/** What the memory of a card is used for, before anything is loaded onto it. */
export interface MemoryPlan {
  /** The encoders' weights wait in the processor's memory, and go to the card for each picture. */
  readonly offloadEncoders: boolean;
  /** The largest picture that is decoded at once; pixels. */
  readonly whole: number;
  /** The largest that is drawn, decoded in tiles; pixels. */
  readonly inTiles: number;
  /** What that means, for people. */
  readonly sentence: string;
}

/** What a loaded engine is. */
export interface EngineInfo {
  /** What was chosen for the device. */
  readonly settings: Required<
    Pick<LoadOptions, 'flashAttention' | 'vaeDirectConvolution' | 'unetDirectConvolution'>
  >;
  readonly hasIpAdapter: boolean;
  /** What its device's memory is used for; undefined where that is not known. */
  readonly plan?: MemoryPlan;
  /** Bytes that it may still take by its plan. */
  readonly promised?: number;
}

/** A picture, and how long the engine had rested before it: milliseconds since the end of the one before, if any. */
export type EnginePicture = Generated & { readonly idle?: number };

/** Engine -> service. Without `id`: about opening and loading. */
export type EngineEvent =
  | ({ readonly type: 'opened' } & EngineFacts)
  /** The device that it will load the model onto: the answer to `open`. */
  | { readonly type: 'chosen'; readonly device: Device }
  | { readonly type: 'loading'; readonly percent: number }
  /** A sign of life, from when the addon and the device are there. */
  | { readonly type: 'alive' }
  /** It draws a first picture; `path`: what that is to show, besides that it draws. */
  | { readonly type: 'warming'; readonly path?: string }
  | { readonly type: 'loaded'; readonly info: EngineInfo }
  | { readonly type: 'progress'; readonly id: number; readonly progress: GenerateProgress }
  /** The engine takes the next picture. Its own message, because the pixels of a large one are on their way for long. */
  | { readonly type: 'drawn'; readonly id: number }
  | { readonly type: 'generated'; readonly id: number; readonly picture: EnginePicture }
  | { readonly type: 'failed'; readonly id?: number; readonly code: string; readonly message: string }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly line: string };

export type { Device, Generated, GenerateOptions, GenerateProgress };
