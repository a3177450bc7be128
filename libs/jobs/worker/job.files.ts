import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { findLora, findUpscaler, isUnchanged } from '@app/models';
import { MAX_SIDE } from '@app/models/family';
import { Storage } from '@app/storage';
import { PipelineService } from '@app/pipeline';
import { copyToReference, encodePicture, pixelsOfCopy, PNG } from '@app/pictures';
import { generationOf, isEdit } from '../generation';
import type { GenerateRequest, LoraRequest } from '@app/pipeline';
import {
  keysOf,
  referencesOf,
  type JobControl,
  type JobHires,
  type JobUpscaler,
  type PictureJob,
  type PictureResult,
  type StoredPicture,
  type Timings,
} from '../picture.job';
import type { ChosenPicture } from './candidates';
import { modelGone } from '../refusals';
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

  /** What the engine needs of the storage, LORA_DIR and UPSCALER_DIR; done while the job before this one is drawn. */
  async load(picture: PictureJob): Promise<GenerateRequest> {
    /* eslint-disable @typescript-eslint/no-unused-vars -- what is left is the engine's */
    const { id, route, userId, photos, referenceKey, moreReferenceKeys, key, output, ...asked } = picture;
    const { candidates, allCandidates, minLikeness, requireFace, warnings, ...wanted } = asked;
    const { faceDetail, model, ...drawn } = wanted;
    /* eslint-enable @typescript-eslint/no-unused-vars */
    if (model !== undefined && model !== this.pipeline.loaded.name) throw modelGone(model);
    const { loras: named, imageKey, maskKey, controlKey, ...more } = drawn;
    const { control: guide, ...others } = more;
    const { ipAdapterScale, identityStrength, strength = 1, hires, upscaler, ...options } = others;
    const loras: LoraRequest[] = [];
    for (const [i, lora] of named.entries()) loras.push(await this.lora(lora, i));
    const references: Buffer[] = [];
    for (const copy of referencesOf(picture)) references.push(await this.input(copy, copyToReference));
    const image = imageKey && (await this.input(imageKey, (bytes) => pixelsOfCopy(bytes, 'image')));
    const mask = maskKey && (await this.input(maskKey, (bytes) => pixelsOfCopy(bytes, 'mask')));
    const seen = controlKey && (await this.input(controlKey, (bytes) => pixelsOfCopy(bytes, 'image')));
    const control = guide && seen && { ...(await this.controlNet(guide)), pixels: seen };
    return {
      ...options,
      loras,
      ...(hires && { hires: await this.hires(hires) }),
      ...(upscaler && { upscaler: await this.upscaler(upscaler, 'upscale') }),
      ...(references.length > 0 &&
        (identityStrength === undefined
          ? { reference: { pixels: references[0], strength: ipAdapterScale } }
          : { identity: { pictures: references, strength: identityStrength } })),
      ...(image && { image: { pixels: image, strength } }),
      ...(mask && { mask }),
      ...(control && { control }),
    };
  }

  /** Encodes the pictures and stores them, however long the storage refuses them within `limits`. */
  async store(
    job: PictureJob,
    picture: ChosenPicture,
    clock: JobClock,
    limits: UploadLimits,
  ): Promise<PictureResult> {
    const { width, height, pixels, choice } = picture;
    // Not told: nothing of it leaves this process, neither in files nor in replies.
    const model = this.config.EMBED_PARAMETERS ? this.pipeline.status().model : undefined;
    const stored: StoredPicture[] = [];
    let [encoding, storing] = [0, 0];
    // One after the other: as files, too, they are large.
    for (const [i, key] of keysOf(job, choice?.tries).entries()) {
      const begun = performance.now();
      const bytes = width * height * 3;
      const one = { pixels: pixels.subarray(i * bytes, (i + 1) * bytes), width, height };
      const seed = choice?.seeds[i] ?? job.seed + i;
      const file = await encodePicture(one, job.output ?? PNG, {
        composite: isEdit(job),
        parameters: model === undefined ? undefined : parametersText(generationOf(job, model, seed)),
      });
      const encoded = performance.now();
      await this.uploads.put(key, file, limits);
      encoding += encoded - begun;
      storing += performance.now() - encoded;
      stored.push({ key, s3_uri: this.storage.uri(key), seed, likeness: choice?.likeness[i] });
    }
    const [first, ...more] = stored;

    const { text, image, sampling, decode } = picture.timings;
    const timings: Timings = {
      queue_ms: clock.waited,
      text_ms: Math.round(text),
      image_ms: Math.round(image),
      sampling_ms: Math.round(sampling),
      decode_ms: Math.round(decode),
      faces_ms: Math.round(choice?.faces ?? 0),
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
      ...(choice && choice.tries > 1 && { tries: choice.tries }),
      paintedFaces: choice?.paintedFaces,
      model,
      ...(picture.mergedAnew && { mergedAnew: true }),
    };
  }

  /** A second run writes under the same keys, so only a job that must leave nothing calls this. Tries until `signal` aborts. */
  async discard(job: PictureJob, signal: AbortSignal): Promise<void> {
    for (const key of keysOf(job)) await this.uploads.remove(key, signal);
  }

  private async input(key: string, as: (bytes: Buffer) => Promise<Buffer>): Promise<Buffer> {
    const bytes = await this.storage.read(key, MOST_OF_COPY);
    if (bytes) return as(bytes);
    throw new ServiceError('generation_failed', 'The copy of a picture that it is made from is gone');
  }

  private async hires({ model, ...hires }: JobHires): Promise<GenerateRequest['hires']> {
    const { width, height, steps, strength, upscaler } = hires;
    const options = { width, height, steps, strength };
    return model
      ? { ...options, model: await this.upscaler(model, 'hires.upscaler') }
      : { ...options, upscaler };
  }

  /** Its file. */
  private async upscaler({ name, sha256 }: JobUpscaler, field: string): Promise<string> {
    const upscaler = await findUpscaler(this.pipeline.loaded.upscalerDir, name);
    if (upscaler.sha256 === sha256) return upscaler.path;
    const sentence = `The upscaler "${name}" is another file now than when the job was accepted; send the request again`;
    throw new ServiceError('upscaler_not_found', sentence, field);
  }

  private async controlNet({ name, strength, canny }: JobControl) {
    const net = this.pipeline.loaded.controlNets.find((one) => one.name === name);
    if (net && (await isUnchanged(net))) return { model: net.path, strength, canny };
    const sentence = net
      ? `The file of the ControlNet "${name}" changed or went away since the engine started`
      : `There is no ControlNet "${name}" here any more`;
    throw new ServiceError('control_net_not_found', sentence, 'control.name');
  }

  private async lora(
    { name, scale, sha256 }: PictureJob['loras'][number],
    index: number,
  ): Promise<LoraRequest> {
    const lora = await findLora(this.pipeline.loaded.loraDir, name);
    if (lora.sha256 === sha256) return { name, scale, path: lora.path, tensors: lora.tensors };
    const sentence = `The LoRA "${name}" is another file now than when the job was accepted; send the request again`;
    throw new ServiceError('lora_not_found', sentence, `loras.${index}.name`);
  }
}
