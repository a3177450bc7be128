import type {
  Device,
  EngineVersion,
  Generated,
  GenerateOptions,
  GenerateProgress,
  LoadOptions,
} from '#native';

/** What the service and its engine process say to each other, over Node's IPC with `serialization: 'advanced'`. */

/** Service -> engine. */
export type EngineCommand =
  | {
      readonly type: 'load';
      readonly options: Pick<
        LoadOptions,
        'model' | 'vae' | 'ipAdapter' | 'clipVision' | 'threads' | 'textEncoderType'
      >;
      readonly requireGpu: boolean;
    }
  | { readonly type: 'generate'; readonly options: GenerateOptions }
  | { readonly type: 'cancel' };

/** What a loaded engine is. */
export interface EngineInfo {
  readonly device: Device;
  readonly version: EngineVersion;
  readonly hasIpAdapter: boolean;
}

/** Engine -> service. One command runs at a time, so answers carry no id. */
export type EngineEvent =
  | { readonly type: 'loading'; readonly percent: number }
  | { readonly type: 'warming' }
  | { readonly type: 'loaded'; readonly info: EngineInfo }
  | { readonly type: 'progress'; readonly progress: GenerateProgress }
  | { readonly type: 'generated'; readonly picture: Generated }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | { readonly type: 'log'; readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly line: string };

export type { Generated, GenerateOptions, GenerateProgress };
