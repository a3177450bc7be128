import type { Logger } from '@nestjs/common';
import type { Device, EngineFacts } from './engine.protocol';
import type { GenerateListeners } from './pipeline.types';
import type { PictureKind } from './probe.picture';

/** What is heard of an engine process while it comes up. */
export interface EngineListeners {
  /** Also where no device of its fits, and loading fails. */
  opened?(facts: EngineFacts): void;
  /** The device that it will load the model onto. */
  chosen?(device: Device): void;
  /** 0..100, from 0 again for each of the model's files. */
  loading?(percent: number): void;
  /** The path is for people; undefined: a prompt alone. */
  warming?(path?: string): void;
  /** A warning or an error of the engine, or a line that it wrote to its standard error before it died. */
  log?(level: 'warn' | 'error', line: string): void;
}

/** What the engine warns of with every model of this kind, and nobody can fix. */
const EXPECTED = /^Using upstream GGML|^No valid VAE specified/;

export const toLog =
  (logger: Logger): EngineListeners['log'] =>
  (level, line) =>
    logger[EXPECTED.test(line) ? 'debug' : level](`engine: ${line}`);

export interface PictureListeners extends GenerateListeners {
  /** Milliseconds that files may take which the engine reads for this picture. */
  readonly reads?: number;
  /** The engine takes the next picture; the pixels of this one are on their way. */
  onDrawn?(): void;
}

/** How an engine process died. */
export interface EngineDeath {
  /** In a few words, and what the card had. */
  readonly how: string;
  /** That was under way. */
  readonly picture?: PictureKind;
  /** It said so since it was asked for that picture. */
  readonly outOfMemory: boolean;
}
