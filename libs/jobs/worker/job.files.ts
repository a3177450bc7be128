import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { findLora } from '@app/models';
import { MAX_SIDE } from '@app/models/family';
import { Storage } from '@app/storage';
import { PipelineService } from '@app/pipeline';
import { copyToReference, encodePicture, pixelsOfCopy, PNG } from '@app/pictures';
import { generationOf, isEdit } from '../generation';
import type { GeneratedPicture, GenerateRequest, LoraRequest } from '@app/pipeline';
import {
  keysOf,
  type PictureJob,
  type PictureResult,
  type StoredPicture,
  type Timings,
} from '../picture.job';
import { parametersText } from './parameters.text';
import { PictureUploads, type UploadLimits } from './picture.uploads';

/** Bytes of a copy, which is of the size that is drawn: as many as its pixels have, and a little for the format. */
const MOST_OF_COPY = MAX_SIDE * MAX_SIDE * 3 * 1.1;

/** How long the job waited for its turn, and when this came, by performance.now(). Milliseconds. */
export interface JobClock {
  readonly waited: number;
  readonly begunAt: number;
}

/** Job -> stored pictures, before and after the engine, so that one job overlaps with the drawing of another. */
@Injectable()
export class JobFiles {
  constructor(
    private readonly pipeline: PipelineService,
    private readonly storage: Storage,
    private readonly uploads: PictureUploads,
    private readonly config: Config,
  ) {}

  /** What the engine needs of the storage and of LORA_DIR; done while the job before this one is drawn. */
  async load(picture: PictureJob): Promise<GenerateRequest> {
    /* eslint-disable @typescript-eslint/no-unused-vars -- what is left is the engine's */
    const { id, route, userId, key, output, ...drawn } = picture;
    /* eslint-enable @typescript-eslint/no-unused-vars */
    const { loras: named, referenceKey, imageKey, maskKey, strength = 1, ...others } = drawn;
    const { ipAdapterScale, identityStrength, ...options } = others;
    const loras: LoraRequest[] = [];
    for (const [i, lora] of named.entries()) loras.push(await this.lora(lora, i));
    const reference = await this.input(referenceKey, copyToReference);
    const image = await this.input(imageKey, (bytes) => pixelsOfCopy(bytes, 'image'));
    const mask = await this.input(maskKey, (bytes) => pixelsOfCopy(bytes, 'mask'));
    return {
      ...options,
      loras,
      ...(reference &&
        (identityStrength === undefined
          ? { reference: { pixels: reference, strength: ipAdapterScale } }
          : { identity: { pictures: [reference], strength: identityStrength } })),
      ...(image && { image: { pixels: image, strength } }),
      ...(mask && { mask }),
    };
  }

  /** Encodes the pictures and stores them, however long the storage refuses them within `limits`. */
  async store(
    job: PictureJob,
    picture: GeneratedPicture,
    clock: JobClock,
    limits: UploadLimits,
  ): Promise<PictureResult> {
    const { width, height, pixels } = picture;
    // Not told: nothing of it leaves this process, neither in files nor in replies.
    const model = this.config.EMBED_PARAMETERS ? this.pipeline.status().model : undefined;
    const stored: StoredPicture[] = [];
    let [encoding, storing] = [0, 0];
    // One after the other: as files, too, they are large.
    for (const [i, key] of keysOf(job).entries()) {
      const begun = performance.now();
      const bytes = width * height * 3;
      const one = { pixels: pixels.subarray(i * bytes, (i + 1) * bytes), width, height };
      const seed = job.seed + i;
      const file = await encodePicture(one, job.output ?? PNG, {
        composite: isEdit(job),
        parameters: model === undefined ? undefined : parametersText(generationOf(job, model, seed)),
      });
      const encoded = performance.now();
      await this.uploads.put(key, file, limits);
      encoding += encoded - begun;
      storing += performance.now() - encoded;
      stored.push({ key, s3_uri: this.storage.uri(key), seed });
    }
    const [first, ...more] = stored;

    const { text, image, sampling, decode } = picture.timings;
    const timings: Timings = {
      queue_ms: clock.waited,
      text_ms: Math.round(text),
      image_ms: Math.round(image),
      sampling_ms: Math.round(sampling),
      decode_ms: Math.round(decode),
      encode_ms: Math.round(encoding),
      store_ms: Math.round(storing),
      total_ms: clock.waited + Math.round(performance.now() - clock.begunAt),
    };
    return {
      ...first,
      ...(more.length > 0 && { more }),
      size: `${width}x${height}`,
      timings,
      warnings: picture.warnings,
      model,
      ...(picture.mergedAnew && { mergedAnew: true }),
    };
  }

  /** A second run writes under the same keys, so only a job that must leave nothing calls this. Tries until `signal` aborts. */
  async discard(job: PictureJob, signal: AbortSignal): Promise<void> {
    for (const key of keysOf(job)) await this.uploads.remove(key, signal);
  }

  private async input(
    key: string | undefined,
    as: (bytes: Buffer) => Promise<Buffer>,
  ): Promise<Buffer | undefined> {
    if (key === undefined) return undefined;
    const bytes = await this.storage.read(key, MOST_OF_COPY);
    if (bytes) return as(bytes);
    throw new ServiceError('generation_failed', 'The copy of a picture that it is made from is gone');
  }

  private async lora(
    { name, scale, sha256 }: PictureJob['loras'][number],
    index: number,
  ): Promise<LoraRequest> {
    const lora = await findLora(this.pipeline.loraDir, name);
    if (lora.sha256 === sha256) return { name, scale, path: lora.path, tensors: lora.tensors };
    const sentence = `The LoRA "${name}" is another file now than when the job was accepted; send the request again`;
    throw new ServiceError('lora_not_found', sentence, `loras.${index}.name`);
  }
}
