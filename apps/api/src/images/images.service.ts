import { randomBytes, randomInt } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Config, defaultSize, parseSize, type Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { findLora } from '@app/models';
import {
  JobRunner,
  PipelineService,
  toReference,
  type LoraRequest,
  type PictureJob,
  type PictureRoute,
} from '@app/pipeline';
import { LiveRequests } from '../users/live.requests';
import { UserPictures, type UserPicture } from '../users/user.pictures';
import {
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_IP_ADAPTER_SCALE,
  DEFAULT_LORA_SCALE,
  DEFAULT_STEPS,
  MAX_SEED,
  type GenerationRequest,
  type LoraOption,
  type MemoryRequest,
  type PictureOptions,
  type PictureReply,
  type SubjectRequest,
} from './images.dto';
import { Links } from './links';
import { ReferenceFetcher } from './reference.fetcher';

/** What a route adds to the options that all of them share. */
interface Sketch {
  readonly route: PictureRoute;
  readonly prompt: string;
  readonly userId?: string;
  /** Gets the reference picture; absent: none is used. */
  readonly reference?: (signal: AbortSignal) => Promise<Buffer>;
}

/** Rules of the picture routes: request -> job -> reply. Checks that are cheap and final come first. */
@Injectable()
export class ImagesService {
  constructor(
    private readonly config: Config,
    private readonly pipeline: PipelineService,
    private readonly runner: JobRunner,
    private readonly pictures: UserPictures,
    private readonly live: LiveRequests,
    private readonly references: ReferenceFetcher,
    private readonly links: Links,
  ) {}

  memory(request: MemoryRequest, caller: AbortSignal): Promise<PictureReply> {
    // A function: in a plain replacement text "$&" of the prompt would mean something.
    const prompt = this.config.MEMORY_PROMPT_TEMPLATE.replaceAll('{prompt}', () => request.prompt);
    const userId = request.user_id;
    return this.make(
      request,
      { route: 'memory', userId, prompt, reference: this.of('avatar', userId) },
      caller,
    );
  }

  subject(request: SubjectRequest, caller: AbortSignal): Promise<PictureReply> {
    const prompt = this.config.SUBJECT_PROMPT;
    const userId = request.user_id;
    return this.make(
      request,
      { route: 'subject', userId, prompt, reference: this.of('photo', userId) },
      caller,
    );
  }

  generations(request: GenerationRequest, caller: AbortSignal): Promise<PictureReply> {
    const { prompt, reference_image_url: address } = request;
    const reference =
      address === undefined
        ? undefined
        : async (signal: AbortSignal) =>
            toReference(await this.references.fetch(address, signal), 'reference_image_url');
    return this.make(request, { route: 'generations', prompt, reference }, caller);
  }

  private of(kind: UserPicture, userId: string): Sketch['reference'] {
    return async () => toReference(await this.pictures.read(kind, userId), 'user_id');
  }

  private async make(options: PictureOptions, sketch: Sketch, caller: AbortSignal): Promise<PictureReply> {
    const size = this.size(options.size);
    this.assertEnabled(options, sketch);
    this.assertReady();

    return this.live.run(sketch.userId, caller, async (signal) => {
      const loras = await this.loras(options.loras ?? []);
      const reference = await sketch.reference?.(signal);
      signal.throwIfAborted();
      const job = this.job(options, sketch, size, loras);
      const {
        key,
        s3_uri,
        seed,
        size: made,
        timings,
        warnings,
      } = await this.runner.run(job, {
        reference,
        signal,
      });
      return {
        created: Math.floor(Date.now() / 1000),
        id: job.id,
        data: [{ s3_uri, url: this.links.picture(key), seed, size: made }],
        timings,
        warnings: [...warnings],
      };
    });
  }

  /** Everything that a rerun must not decide anew is decided here. */
  private job(options: PictureOptions, sketch: Sketch, size: Size, loras: LoraRequest[]): PictureJob {
    const id = randomBytes(12).toString('hex');
    const { route, userId, prompt } = sketch;
    const name = userId ? `${userId}/${route}_${id}.png` : `${id}.png`;
    return {
      id,
      route,
      userId,
      key: this.config.S3_GENERATED_PREFIX + name,
      prompt,
      negativePrompt: options.negative_prompt ?? this.config.NEGATIVE_PROMPT,
      ...size,
      steps: options.num_inference_steps ?? DEFAULT_STEPS,
      guidanceScale: options.guidance_scale ?? DEFAULT_GUIDANCE_SCALE,
      seed: options.seed ?? randomInt(MAX_SEED + 1),
      loras,
      ipAdapterScale: options.ip_adapter_scale ?? DEFAULT_IP_ADAPTER_SCALE,
    };
  }

  private size(text?: string): Size {
    const size = (text && parseSize(text)) || defaultSize(this.config);
    if (size.width * size.height <= this.config.MAX_PIXELS) return size;
    const sentence = `Expected at most ${this.config.MAX_PIXELS} pixels for size but received ${size.width}x${size.height}`;
    throw new ServiceError('invalid_request', sentence, 'size');
  }

  private assertEnabled({ loras = [] }: PictureOptions, { reference }: Sketch): void {
    if (reference && !this.pipeline.hasIpAdapter) {
      throw new ServiceError(
        'ip_adapter_disabled',
        'This service runs without an IP-Adapter, so it cannot draw from a picture (ENABLE_IP_ADAPTER)',
      );
    }
    if (loras.length === 0) return;
    if (!this.config.ENABLE_LORA) {
      throw new ServiceError('lora_disabled', 'This service runs without LoRA (ENABLE_LORA)', 'loras');
    }
    const names = loras.map(({ name }) => name);
    const twice = names.findIndex((name, i) => names.indexOf(name) < i);
    if (twice >= 0) {
      const sentence = `Expected each LoRA once but received ${JSON.stringify(names[twice])} twice`;
      throw new ServiceError('invalid_request', sentence, `loras.${twice}.name`);
    }
  }

  /** Busy is fine, the job waits its turn; a model that is not there may never come. */
  private assertReady(): void {
    const { state, reason, percent } = this.pipeline.status();
    switch (state) {
      case 'ready':
      case 'busy':
        return;
      case 'failed':
      case 'stopped': {
        const sentence = `The engine is not running${reason ? `: ${reason}` : ''}`;
        throw new ServiceError('engine_not_ready', sentence, undefined, { retryAfter: 30 });
      }
      case 'starting':
      case 'loading':
      case 'warming': {
        const done = percent === undefined ? '' : ` (${Math.floor(percent)} %)`;
        throw new ServiceError('engine_not_ready', `The model is not loaded yet: ${state}${done}`);
      }
    }
  }

  private async loras(options: readonly LoraOption[]): Promise<LoraRequest[]> {
    const found: LoraRequest[] = [];
    for (const [i, { name, scale = DEFAULT_LORA_SCALE }] of options.entries()) {
      found.push({ ...(await this.lora(name, i)), scale });
    }
    return found;
  }

  private async lora(name: string, index: number) {
    try {
      return await findLora(this.pipeline.loraDir, name);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      throw new ServiceError(error.code, error.message, `loras.${index}.name`, { cause: error });
    }
  }
}
