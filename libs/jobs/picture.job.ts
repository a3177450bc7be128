import type { Output } from '@app/pictures';
import type { GenerateRequest } from '@app/pipeline';

export type PictureRoute = 'memory' | 'subject' | 'generations';

/** A LoRA as a job names it: the worker finds the file by name and refuses one with another hash. */
export interface JobLora {
  readonly name: string;
  /** -2..2 */
  readonly scale: number;
  /** Hexadecimal, of the file as it was when the job was accepted. */
  readonly sha256: string;
}

/** One picture to make: everything is decided, nothing is pixels, and it survives JSON. */
export interface PictureJob extends Omit<GenerateRequest, 'reference' | 'loras'> {
  /** 24 hexadecimal digits. */
  readonly id: string;
  readonly route: PictureRoute;
  readonly userId?: string;
  readonly loras: readonly JobLora[];
  /** Where the copy of its reference picture is stored: a PNG of 224 x 224 pixels. Absent: it has none. */
  readonly referenceKey?: string;
  /** Where the result goes; made from `id`, so a second run overwrites itself. */
  readonly key: string;
  /** What the result becomes; absent: a PNG. */
  readonly output?: Output;
  readonly ipAdapterScale: number;
}

/** Where the time of a picture went: whole milliseconds, from its request to its end. */
export interface Timings {
  readonly queue_ms: number;
  readonly text_ms: number;
  readonly image_ms: number;
  readonly sampling_ms: number;
  readonly decode_ms: number;
  readonly encode_ms: number;
  readonly store_ms: number;
  readonly total_ms: number;
}

export interface PictureResult {
  readonly key: string;
  readonly s3_uri: string;
  readonly seed: number;
  /** WIDTHxHEIGHT of the picture that was made. */
  readonly size: string;
  readonly timings: Timings;
  readonly warnings: readonly string[];
  /** Its times have those of a change of the merged LoRAs in them. */
  readonly mergedAnew?: true;
}
