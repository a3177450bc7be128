import { randomBytes, randomInt } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Config, defaultSize, parseSize, type Size } from '@app/config';
import { ServiceError } from '@app/errors';
import {
  inputKey,
  Capabilities,
  Jobs,
  versionFor,
  type JobDraft,
  type JobLora,
  type PictureRoute,
  type Webhook,
} from '@app/jobs';
import {
  costOf,
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_IP_ADAPTER_SCALE,
  DEFAULT_LORA_SCALE,
  DEFAULT_STEPS,
  REFERENCE_SIDE,
} from '@app/models/family';
import { findSampler, findScheduler } from '@app/models';
import { NoPlaceError } from '@app/outbound';
import { Turns } from '@app/lifecycle';
import { encodePng, shrunk, toReference, type Turn } from '@app/pictures';
import { Storage } from '@app/storage';
import { UserPictures, type UserPicture } from '../users/user.pictures';
import { MAX_SEED, type LoraOption, type PictureOptions } from './images.dto';
import { outputOf } from './output.option';
import { ReferenceFetcher } from './reference.fetcher';

/** What a route adds to the options that all of them share. */
export interface PictureIntent {
  readonly route: PictureRoute;
  readonly prompt: string;
  readonly userId?: string;
  readonly user?: string;
  /** The picture to draw from; absent: none. */
  readonly reference?:
    | { readonly of: UserPicture; readonly userId: string }
    /** `turn`: whose turn fetching it is, from the caller to the host (Shares). */
    | { readonly url: string; readonly turn: readonly string[] };
}

/** Requests that read a stored picture at a time: each may hold 20 MiB. The rest waits, in turns. */
const AT_ONCE = 8;
/** Seconds after which a caller, whose own pictures take the places to fetch more, may come again. */
const RETRY_AFTER = 5;

/** Told when a request names a webhook but no events. */
const WEBHOOK_DEFAULT = ['job.succeeded', 'job.failed', 'job.cancelled'] as const;

/** Request -> job: everything that a rerun must not decide anew is decided here. */
@Injectable()
export class JobDrafter {
  private readonly reading = new Turns(AT_ONCE);

  constructor(
    private readonly config: Config,
    private readonly capabilities: Capabilities,
    private readonly pictures: UserPictures,
    private readonly references: ReferenceFetcher,
    private readonly storage: Storage,
    private readonly jobs: Jobs,
  ) {}

  /** Whatever can be refused without looking anywhere. */
  check(options: PictureOptions, { reference }: PictureIntent): void {
    this.size(options.size);
    outputOf(options);
    this.checkCount(options);
    if (options.webhook_events && options.webhook_url === undefined) {
      const sentence = 'Expected webhook_url with webhook_events but received nothing';
      throw new ServiceError('invalid_request', sentence, 'webhook_url');
    }
    if (reference && !this.capabilities.hasIpAdapter) {
      throw new ServiceError(
        'ip_adapter_disabled',
        'This service runs without an IP-Adapter, so it cannot draw from a picture (ENABLE_IP_ADAPTER)',
      );
    }
    this.checkLoras(options.loras ?? []);
  }

  /** Throws `engine_not_ready` when a job that is taken now might never run. */
  assertAccepting(): void {
    this.capabilities.assertAccepting();
  }

  /** Looks everything up, and keeps a copy of the reference picture: later changes of it do not matter. */
  async draft(
    options: PictureOptions,
    intent: PictureIntent,
    caller: string,
    turn: Required<Turn>,
  ): Promise<JobDraft> {
    const id = randomBytes(12).toString('hex');
    // Before anything of the user is read: a deletion of theirs from now on refuses the job.
    const createdAt = await this.jobs.now();
    const loras = await this.loras(options.loras ?? []);
    const referenceKey = await this.copyReference(id, intent, turn);
    turn.signal.throwIfAborted();
    const { route, userId, prompt } = intent;
    const output = outputOf(options);
    const name = `${userId ? `${userId}/${route}_${id}` : id}.${output.format}`;
    const { n = 1 } = options;
    const picture = {
      ...{ id, route, userId, prompt, loras, referenceKey },
      key: this.config.S3_GENERATED_PREFIX + name,
      output: output.format === 'png' ? undefined : output,
      negativePrompt: options.negative_prompt ?? this.config.NEGATIVE_PROMPT,
      ...this.size(options.size),
      steps: options.num_inference_steps ?? DEFAULT_STEPS,
      guidanceScale: options.guidance_scale ?? DEFAULT_GUIDANCE_SCALE,
      clipSkip: options.clip_skip,
      ...samplingOf(options),
      ...(n > 1 && { count: n }),
      seed: options.seed ?? randomInt(MAX_SEED + 2 - n),
      ipAdapterScale: options.ip_adapter_scale ?? DEFAULT_IP_ADAPTER_SCALE,
    };
    return {
      ...{
        version: versionFor(picture),
        id,
        caller,
        state: 'queued',
        picture,
        createdAt,
        attempts: 0,
        crashes: 0,
      },
      deadlineAt: createdAt + 1000 * (options.deadline_seconds ?? this.config.DEADLINE_SECONDS),
      cost: costOf(picture),
      webhook: webhook(options),
    };
  }

  /** A job that was not accepted leaves nothing; should this fail, the maintenance finds the copy. */
  async discard({ picture }: JobDraft): Promise<void> {
    if (picture.referenceKey) await this.storage.delete(picture.referenceKey).catch(() => {});
  }

  private async copyReference(
    id: string,
    { reference }: PictureIntent,
    turn: Required<Turn>,
  ): Promise<string | undefined> {
    if (!reference) return undefined;
    const { caller, signal } = turn;
    // The place is held until the copy is kept: so long the bytes are in memory.
    if (!('url' in reference)) {
      return this.reading.run(caller, signal, async () =>
        this.keep(id, await this.pictures.read(reference.of, reference.userId), 'user_id', turn),
      );
    }
    try {
      return await this.references.places.run(reference.turn, signal, async () =>
        this.keep(id, await this.references.fetch(reference.url, signal), 'reference_image_url', turn),
      );
    } catch (error) {
      throw error instanceof NoPlaceError ? crowded(error) : error;
    }
  }

  private async keep(id: string, bytes: Buffer, field: string, turn: Required<Turn>): Promise<string> {
    const pixels = await toReference(bytes, field, turn);
    turn.signal.throwIfAborted();
    const key = inputKey(id);
    await this.storage.put(key, await encodePng(pixels, REFERENCE_SIDE, REFERENCE_SIDE), 'image/png');
    return key;
  }

  private size(text?: string): Size {
    const size = (text && parseSize(text)) || defaultSize(this.config);
    const { width, height } = size;
    const refuse = (sentence: string) => {
      throw new ServiceError('invalid_request', `${sentence} but received ${width}x${height}`, 'size');
    };
    if (width * height > this.config.MAX_PIXELS)
      refuse(`Expected at most ${this.config.MAX_PIXELS} pixels for size`);
    if (width * height > this.capabilities.mostPixels) {
      const fits = shrunk(size, this.capabilities.mostPixels);
      refuse(`Expected a size for which the device has the memory, such as ${fits.width}x${fits.height},`);
    }
    return size;
  }

  private checkCount({ n = 1, seed = 0 }: PictureOptions): void {
    const { MAX_IMAGES } = this.config;
    if (n > MAX_IMAGES) {
      const sentence = `Expected at most ${MAX_IMAGES} (MAX_IMAGES) for n but received ${n}`;
      throw new ServiceError('invalid_request', sentence, 'n');
    }
    if (seed + n - 1 > MAX_SEED) {
      const sentence = `Expected at most ${MAX_SEED - n + 1} for seed, each picture having one more than that before it, but received ${seed}`;
      throw new ServiceError('invalid_request', sentence, 'seed');
    }
  }

  private checkLoras(loras: readonly LoraOption[]): void {
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

  private async loras(options: readonly LoraOption[]): Promise<JobLora[]> {
    const found: JobLora[] = [];
    for (const [i, { name, scale = DEFAULT_LORA_SCALE }] of options.entries()) {
      found.push({ name, scale, sha256: await this.hash(name, i) });
    }
    return found;
  }

  private async hash(name: string, index: number): Promise<string> {
    try {
      return (await this.capabilities.lora(name)).sha256;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      throw new ServiceError(error.code, error.message, `loras.${index}.name`, { cause: error });
    }
  }
}

/** By the engine's names. */
function samplingOf({ sampler, scheduler }: PictureOptions) {
  const found = sampler === undefined ? undefined : findSampler(sampler);
  return { ...found, ...(scheduler !== undefined && { scheduler: findScheduler(scheduler) }) };
}

function webhook({ webhook_url: url, webhook_events: events }: PictureOptions): Webhook | undefined {
  return url === undefined ? undefined : { url, events: events ?? [...WEBHOOK_DEFAULT], deliveries: [] };
}

const crowded = (cause: NoPlaceError) =>
  new ServiceError(
    'queue_full',
    'Expected fewer pictures of this caller to be fetched at a time; send the request again later',
    'reference_image_url',
    { cause, retryAfter: RETRY_AFTER },
  );
