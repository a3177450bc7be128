import { randomBytes, randomInt } from 'node:crypto';
import { Injectable, Optional } from '@nestjs/common';
import { Config, defaultSize, parseSize, type Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { Capabilities, Jobs, versionFor, type JobDraft, type JobLora, type Webhook } from '@app/jobs';
import {
  costOf,
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_IP_ADAPTER_SCALE,
  DEFAULT_LORA_SCALE,
  DEFAULT_MASKED_STRENGTH,
  DEFAULT_STEPS,
  DEFAULT_STRENGTH,
  drawnSize,
  MAX_LORAS,
} from '@app/models/family';
import { shrunk, type Turn } from '@app/pictures';
import { ModelNames } from '../models/model.names';
import { framingOf } from '../users/user.faces';
import { MAX_SEED, type PictureOptions } from './images.dto';
import { choiceOf } from './choice.option';
import { controlOf } from './control.option';
import { faceDetailOf } from './face.detail.option';
import { Enlargements } from './enlargements';
import type { LoraOption } from './lora.dto';
import { photoMakerStrength } from './identity';
import { JobInputs } from './job.inputs';
import type { PictureIntent } from './picture.intent';
import { assertPrompts } from './prompt.bounds';
import { withPreset, withUsual } from './presets';
import { outputOf } from './output.option';
import { samplingOf } from './sampling.option';

/** Told when a request names a webhook but no events. */
const WEBHOOK_DEFAULT = ['job.succeeded', 'job.failed', 'job.cancelled'] as const;

/** Request -> job: everything that a rerun must not decide anew is decided here. */
@Injectable()
export class JobDrafter {
  private readonly enlargements: Enlargements;

  constructor(
    private readonly config: Config,
    private readonly capabilities: Capabilities,
    private readonly inputs: JobInputs,
    private readonly jobs: Jobs,
    private readonly models: ModelNames,
    @Optional() private readonly model?: string,
  ) {
    this.enlargements = new Enlargements(config, capabilities);
  }

  /** Of jobs for the model that a request names. Throws `model_not_found`. */
  for(name: string | undefined): JobDrafter {
    const { config, capabilities, name: model } = this.models.choose(name);
    return new JobDrafter(config, capabilities, this.inputs, this.jobs, this.models, model);
  }

  /** Whatever can be refused without looking anywhere. */
  check(options: PictureOptions, intent: PictureIntent): void {
    this.size(options.size);
    assertPrompts({ prompt: intent.prompt, negative_prompt: options.negative_prompt }, this.config);
    outputOf(options);
    const { candidates = 1 } = choiceOf(intent.choice ?? {}, options, this.config);
    this.checkCount(options, candidates);
    this.enlargements.check(options);
    faceDetailOf(options, this.config);
    if (options.mask !== undefined && options.image === undefined) {
      const sentence = 'Expected image, which the mask is of, but received nothing';
      throw new ServiceError('invalid_request', sentence, 'image');
    }
    if (options.webhook_events && options.webhook_url === undefined) {
      const sentence = 'Expected webhook_url with webhook_events but received nothing';
      throw new ServiceError('invalid_request', sentence, 'webhook_url');
    }
    if (intent.reference && this.photoMaker(intent) === undefined && !this.capabilities.hasIpAdapter) {
      throw new ServiceError(
        'ip_adapter_disabled',
        'This service runs without an IP-Adapter, so it cannot draw from a picture (ENABLE_IP_ADAPTER)',
      );
    }
    if (options.control) controlOf(options.control, this.capabilities);
    this.checkLoras(options.loras ?? []);
  }

  /** Throws `engine_not_ready` when a job that is taken now might never run. */
  assertAccepting(): void {
    this.capabilities.assertAccepting();
  }

  /** Looks everything up, and keeps copies of the pictures that it is made from. */
  async draft(
    given: PictureOptions,
    intent: PictureIntent,
    caller: string,
    turn: Required<Turn>,
  ): Promise<JobDraft> {
    // A preset's schedule must not take the place of the one in the name of the request's sampler.
    const asked = { ...given, ...samplingOf(given) };
    const chosen = await withPreset(asked, () => this.capabilities.loras());
    const options = intent.look ? withUsual(chosen, intent.look.options) : chosen;
    this.checkLoras(options.loras ?? []);
    const id = randomBytes(12).toString('hex');
    // Before anything of the user is read: a deletion of theirs from now on refuses the job.
    const createdAt = await this.jobs.now();
    const identityStrength = this.photoMaker(intent);
    const loras = await this.loras(options.loras ?? [], intent, given);
    const enlarge = await this.enlargements.plan(options);
    if (options.image === undefined) enlarge(this.size(options.size));
    const manyPhotos = identityStrength !== undefined;
    // PhotoMaker was trained on heads with what is around them, whatever the IP-Adapter beside it sees.
    const framing = manyPhotos ? 'shoulders' : framingOf(this.config);
    const wanted = { ...options, manyPhotos, framing } as const;
    const { size: own, ...copies } = await this.inputs.copy(id, wanted, intent, turn, (own) => {
      const like = this.sizeLike(own, options.size);
      enlarge(like);
      return like;
    });
    turn.signal.throwIfAborted();
    const { route, userId, prompt } = intent;
    const output = outputOf(options);
    const name = `${userId ? `${userId}/${route}_${id}` : id}.${output.format}`;
    const { n = 1 } = options;
    const choice = choiceOf(intent.choice ?? {}, options, this.config);
    const pictures = n * (choice.candidates ?? 1);
    const size = own ?? this.size(options.size);
    const picture = {
      ...{ id, route, userId, prompt, loras, model: this.model },
      ...copies,
      key: this.config.S3_GENERATED_PREFIX + name,
      output: output.format === 'png' ? undefined : output,
      negativePrompt: options.negative_prompt ?? this.config.NEGATIVE_PROMPT,
      ...size,
      ...enlarge(size),
      ...(copies.imageKey && { strength: strengthOf(options) }),
      steps: options.num_inference_steps ?? DEFAULT_STEPS,
      guidanceScale: options.guidance_scale ?? DEFAULT_GUIDANCE_SCALE,
      clipSkip: options.clip_skip,
      ...(options.control && { control: controlOf(options.control, this.capabilities) }),
      ...samplingOf(options),
      ...(options.cache !== 'none' && { cache: options.cache }),
      ...(n > 1 && { count: n }),
      ...choice,
      faceDetail: faceDetailOf(options, this.config),
      seed: options.seed ?? randomInt(MAX_SEED + 2 - pictures),
      ...(identityStrength !== undefined && { identityStrength }),
      ipAdapterScale: options.ip_adapter_scale ?? DEFAULT_IP_ADAPTER_SCALE,
    };
    return {
      ...{ version: versionFor(picture), id, caller, state: 'queued', picture, createdAt },
      ...{ attempts: 0, crashes: 0 },
      deadlineAt: createdAt + 1000 * (options.deadline_seconds ?? this.config.DEADLINE_SECONDS),
      cost: costOf({ ...picture, count: pictures }),
      webhook: webhook(options),
    };
  }

  private photoMaker(intent: PictureIntent): number | undefined {
    return intent.identity && photoMakerStrength(intent.identity, intent, this.capabilities);
  }

  /** A job that was not accepted leaves nothing. */
  discard({ picture }: JobDraft): Promise<void> {
    return this.inputs.discard(picture);
  }

  private size(text?: string): Size {
    const size = (text && parseSize(text)) || defaultSize(this.config);
    const { width, height } = size;
    const refuse = (sentence: string) => {
      throw new ServiceError('invalid_request', `${sentence} but received ${width}x${height}`, 'size');
    };
    if (width * height > this.config.MAX_PIXELS)
      refuse(`Expected at most ${this.config.MAX_PIXELS} pixels for size`);
    const drawn = drawnSize(size);
    if (drawn.width * drawn.height > this.capabilities.mostPixels) {
      const fits = shrunk(size, this.capabilities.mostPixels);
      refuse(`Expected a size for which the device has the memory, such as ${fits.width}x${fits.height},`);
    }
    return size;
  }

  /** That of the request; else of about as many pixels as the default, in the proportions of the picture to begin from. */
  private sizeLike(own: Size, text?: string): Size {
    if (text !== undefined) return this.size(text);
    const { width, height } = defaultSize(this.config);
    return shrunk(own, Math.min(width * height, this.capabilities.mostPixels));
  }

  private checkCount({ n = 1, seed = 0 }: PictureOptions, candidates: number): void {
    const { MAX_IMAGES } = this.config;
    if (n > MAX_IMAGES) {
      const sentence = `Expected at most ${MAX_IMAGES} (MAX_IMAGES) for n but received ${n}`;
      throw new ServiceError('invalid_request', sentence, 'n');
    }
    const last = MAX_SEED + 1 - n * candidates;
    if (seed > last) {
      const sentence = `Expected at most ${last} for seed, each picture having one more than that before it, but received ${seed}`;
      throw new ServiceError('invalid_request', sentence, 'seed');
    }
  }

  private checkLoras(loras: readonly LoraOption[]): void {
    if (loras.length === 0) return;
    if (!this.config.ENABLE_LORA) {
      throw new ServiceError('lora_disabled', 'This service runs without LoRA (ENABLE_LORA)', 'loras');
    }
    if (loras.length > MAX_LORAS) {
      const sentence = `Expected at most ${MAX_LORAS} LoRAs, those of preset, style and service included, but received ${loras.length}`;
      throw new ServiceError('invalid_request', sentence, 'loras');
    }
    const names = loras.map(({ name }) => name);
    const twice = names.findIndex((name, i) => names.indexOf(name) < i);
    if (twice >= 0) {
      const sentence = `Expected each LoRA once but received ${JSON.stringify(names[twice])} twice`;
      throw new ServiceError('invalid_request', sentence, `loras.${twice}.name`);
    }
  }

  private async loras(
    options: readonly LoraOption[],
    { look }: PictureIntent,
    { loras: own = [] }: PictureOptions,
  ): Promise<JobLora[]> {
    const found: JobLora[] = [];
    for (const [i, { name, scale = DEFAULT_LORA_SCALE }] of options.entries()) {
      const isOfLook = i >= own.length && look?.options.loras?.some((lora) => lora.name === name);
      const { param, because } = (isOfLook && look?.source) || { param: `loras.${i}.name` };
      found.push({ name, scale, sha256: await this.hash(name, param, because) });
    }
    return found;
  }

  private async hash(name: string, param?: string, because = ''): Promise<string> {
    try {
      return (await this.capabilities.lora(name)).sha256;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      throw new ServiceError(error.code, because + error.message, param, { cause: error });
    }
  }
}

const strengthOf = ({ strength, mask }: PictureOptions): number =>
  strength ?? (mask === undefined ? DEFAULT_STRENGTH : DEFAULT_MASKED_STRENGTH);

function webhook({ webhook_url: url, webhook_events: events }: PictureOptions): Webhook | undefined {
  return url === undefined ? undefined : { url, events: events ?? [...WEBHOOK_DEFAULT], deliveries: [] };
}
