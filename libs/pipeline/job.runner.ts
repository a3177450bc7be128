import { Injectable } from '@nestjs/common';
import { Storage } from '@app/storage';
import { PipelineService } from './pipeline.service';
import { encodePng } from './pixels';
import type { GenerateRequest, Progress } from './pipeline.types';

export type PictureRoute = 'memory' | 'subject' | 'generations';

/** One picture to make: everything is decided, nothing is pixels, and it survives JSON. */
export interface PictureJob extends Omit<GenerateRequest, 'reference'> {
  /** 24 hexadecimal digits. */
  readonly id: string;
  readonly route: PictureRoute;
  readonly userId?: string;
  /** Where the result goes; made from `id`, so a second run overwrites itself. */
  readonly key: string;
  readonly ipAdapterScale: number;
}

/** Milliseconds, rounded. */
export interface PictureTimings {
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
  readonly timings: PictureTimings;
  readonly warnings: readonly string[];
}

export interface RunOptions {
  /** The decoded reference picture, as `toReference` makes it. */
  readonly reference?: Buffer;
  /** Aborted before the upload begins: nothing is stored. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** Job -> stored picture. */
@Injectable()
export class JobRunner {
  constructor(
    private readonly pipeline: PipelineService,
    private readonly storage: Storage,
  ) {}

  async run(job: PictureJob, { reference, signal, onProgress }: RunOptions = {}): Promise<PictureResult> {
    const started = performance.now();
    const picture = await this.pipeline.generate(
      {
        prompt: job.prompt,
        negativePrompt: job.negativePrompt,
        width: job.width,
        height: job.height,
        steps: job.steps,
        guidanceScale: job.guidanceScale,
        seed: job.seed,
        loras: job.loras,
        ...(reference && { reference: { pixels: reference, strength: job.ipAdapterScale } }),
      },
      { signal, onProgress },
    );
    // The pipeline already samples the next job: from here on this one uses other threads and the network only.
    const encoding = performance.now();
    const png = await encodePng(picture.pixels, picture.width, picture.height);
    signal?.throwIfAborted();
    const storing = performance.now();
    await this.storage.put(job.key, png, 'image/png');
    const stored = performance.now();

    const { queue_ms, text_ms, image_ms, sampling_ms, decode_ms } = picture.timings;
    const timings = {
      ...{ queue_ms, text_ms, image_ms, sampling_ms, decode_ms },
      encode_ms: storing - encoding,
      store_ms: stored - storing,
      total_ms: stored - started,
    };
    for (const name of Object.keys(timings) as (keyof PictureTimings)[])
      timings[name] = Math.round(timings[name]);
    return {
      key: job.key,
      s3_uri: this.storage.uri(job.key),
      seed: job.seed,
      size: `${picture.width}x${picture.height}`,
      timings,
      warnings: picture.warnings,
    };
  }
}
