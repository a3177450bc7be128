import { ApiExtraModels, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsIn, IsString, Matches, MaxLength, ValidateNested } from 'class-validator';
import { WEBHOOK_EVENTS, type WebhookEvent } from '@app/jobs';
import {
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_IP_ADAPTER_SCALE,
  DEFAULT_STEPS,
  MAX_BATCH,
  MAX_CLIP_SKIP,
  MAX_GUIDANCE_SCALE,
  MAX_LORAS,
  MAX_STEPS,
} from '@app/models/family';
import { OUTPUT_FORMATS, PNG, type OutputFormat } from '@app/pictures';
import {
  Caller,
  Decimal,
  ListOf,
  NegativePrompt,
  OneOf,
  Optional,
  PictureInput,
  PictureSize,
  Prompt,
  Whole,
} from '../validation/fields';
import { ModelName, SamplerName, SchedulerName } from '../validation/name.fields';
import { EnlargementOptions } from './enlargement.dto';
import { ControlOption } from './control.dto';
import { FaceDetail, FaceDetailOption } from './face.detail.dto';
import { LoraOption } from './lora.dto';
import { PRESETS } from './presets';

export const MAX_SEED = 4_294_967_295;

export const CACHES = ['none', 'ucache', 'spectrum'] as const;

/** A week. */
const MAX_DEADLINE = 604_800;
const EVENTS_RULE = `a list of ${WEBHOOK_EVENTS.join(', ')}`;
const LORAS_RULE = `a list of at most ${MAX_LORAS} LoRAs`;
const URL_RULE = 'an http or https address of at most 2048 characters';
/** Not `format: uri`: other letters than ASCII's are welcome, as in a browser. */
const HTTP = /^[Hh][Tt][Tt][Pp][Ss]?:\/\//;

/** What every picture route takes. */
@ApiExtraModels(FaceDetailOption)
export class PictureOptions extends EnlargementOptions {
  /** The model by its name, or by another one that the service has for it: `GET /v1/models` lists them. Left out: the first. */
  @Optional()
  @ModelName()
  readonly model?: string;

  /**
   * Pictures, at most the service's MAX_IMAGES, in one job: cheaper than as many requests, for the prompt is encoded once.
   * The first has the seed, the next one more, and so on.
   */
  @Optional()
  @Whole(1, MAX_BATCH, { default: 1 })
  readonly n?: number;

  /** Sampling steps: more take longer and add detail. */
  @Optional()
  @Whole(1, MAX_STEPS, { default: DEFAULT_STEPS })
  readonly num_inference_steps?: number;

  /** Start of the noise: the same seed, options and machine give the same picture. Left out: random, and in the reply. */
  @Optional()
  @Whole(0, MAX_SEED, { example: 42 })
  readonly seed?: number;

  /** `WIDTHxHEIGHT` in pixels, sides multiples of 8. Left out, or `auto`: the service's DEFAULT_SIZE. */
  @Optional()
  @PictureSize()
  readonly size?: string;

  /**
   * Classifier-free guidance: how closely the picture follows the prompt. From 0 to 1 nothing is guided: the prompt alone is
   * drawn, in half of the time, and negative_prompt does not count.
   */
  @Optional()
  @Decimal(0, MAX_GUIDANCE_SCALE, { default: DEFAULT_GUIDANCE_SCALE })
  readonly guidance_scale?: number;

  /**
   * How noise becomes a picture, by the engine's name or that of AUTOMATIC1111, ComfyUI or diffusers. `DPM++ 2M Karras`
   * names the scheduler, too, where `scheduler` does not. Left out: the engine's choice.
   */
  @Optional()
  @SamplerName()
  readonly sampler?: string;

  /** How the noise is spread over the steps, likewise. Left out: the engine's choice. */
  @Optional()
  @SchedulerName()
  readonly scheduler?: string;

  /**
   * `fast`: with a LoRA for few steps (DMD2, Lightning, Hyper or LCM) that the service has, the sampler, steps and guidance
   * that it was made for. `balanced`: with a cache. `quality`: as if left out. What the request says itself stays.
   */
  @Optional()
  @OneOf(PRESETS)
  readonly preset?: (typeof PRESETS)[number];

  /**
   * Guesses what some steps would compute from those before them: `spectrum` and `ucache` skip about two in five of fifty
   * steps, and give another picture of the same kind. A few steps leave nothing to skip.
   */
  @Optional()
  @OneOf(CACHES, { default: 'none' })
  readonly cache?: (typeof CACHES)[number];

  /**
   * At which layer of the text encoders the prompt is read, from their end: 1 is the last. Left out: the model's own, 2
   * for SDXL.
   */
  @Optional()
  @Whole(1, MAX_CLIP_SKIP, { example: 2 })
  readonly clip_skip?: number;

  /** What the picture should not show. Left out: the service's NEGATIVE_PROMPT. */
  @Optional()
  @NegativePrompt({ example: 'blurry, watermark' })
  readonly negative_prompt?: string;

  /** LoRAs to apply, each at most once. */
  @Optional()
  @ListOf(MAX_LORAS, LORAS_RULE)
  @ValidateNested({ each: true })
  @Type(() => LoraOption)
  @ApiPropertyOptional({ type: () => [LoraOption], maxItems: MAX_LORAS })
  readonly loras?: LoraOption[];

  /**
   * A PNG, JPEG or WebP picture to begin from: in the body, as `data:image/png;base64,...`, which then may have 20 MiB, or
   * at an address, as `reference_image_url`. It is scaled and cut, around its middle, to `size`; that left out, the result
   * has its proportions, and about the pixels of the service's DEFAULT_SIZE.
   */
  @Optional()
  @PictureInput()
  readonly image?: string | Buffer;

  /**
   * How much of `image` is changed: 0 hardly anything, 1 all. So much of the steps is taken. Left out: 0.75, with a mask 1.
   */
  @Optional()
  @Decimal(0, 1)
  readonly strength?: number;

  /**
   * Which part of `image` is painted anew: what is transparent in this picture of the same proportions or, where nothing is,
   * what is white. The rest stays as it is, to the bit.
   */
  @Optional()
  @PictureInput()
  readonly mask?: string | Buffer;

  /** A picture that guides where things are, for one of the service's ControlNets. */
  @Optional()
  @ValidateNested()
  @Type(() => ControlOption)
  @ApiPropertyOptional({ type: () => ControlOption })
  readonly control?: ControlOption;

  /**
   * The largest face of each picture is painted again, larger and with the same prompt, and put back: faces that are small in
   * the picture get their details. `true`, or how. Without a face the picture stays as it is, and `warnings` say so.
   */
  @FaceDetail()
  readonly face_detail?: FaceDetailOption;

  /** How strongly the reference picture counts; 0 ignores it. */
  @Optional()
  @Decimal(0, 1, { default: DEFAULT_IP_ADAPTER_SCALE })
  readonly ip_adapter_scale?: number;

  /** The file that the picture becomes. */
  @Optional()
  @OneOf(OUTPUT_FORMATS, { default: PNG.format })
  readonly output_format?: OutputFormat;

  /** Quality of a JPEG or WebP: less makes a smaller file. A PNG keeps every pixel, and takes none but 100. */
  @Optional()
  @Whole(0, 100, { default: PNG.quality })
  readonly output_compression?: number;

  /**
   * Seconds that the picture may take from this request on, waiting included. Not started by then: the job expires;
   * still running: it is stopped. Left out: the service's DEADLINE_SECONDS.
   */
  @Optional()
  @Whole(1, MAX_DEADLINE, { example: 600 })
  readonly deadline_seconds?: number;

  /**
   * Where the job is posted when its state changes, signed as Standard Webhooks have it. Only public http and https
   * addresses on ports 80 and 443, and only where the service has a WEBHOOK_SECRET.
   */
  @Optional()
  @Matches(HTTP, { message: URL_RULE })
  @IsString({ message: URL_RULE })
  @MaxLength(2048, { message: URL_RULE })
  @ApiPropertyOptional({ pattern: HTTP.source, example: 'https://example.com/hooks/pictures' })
  readonly webhook_url?: string;

  /** What is sent to `webhook_url`. Left out: when the job succeeded, failed (or expired) or was cancelled. */
  @Optional()
  @ListOf(WEBHOOK_EVENTS.length, EVENTS_RULE)
  @IsIn(WEBHOOK_EVENTS, { each: true, message: EVENTS_RULE })
  @ApiPropertyOptional({ enum: WEBHOOK_EVENTS, isArray: true, maxItems: WEBHOOK_EVENTS.length })
  readonly webhook_events?: WebhookEvent[];
}

export class GenerationRequest extends PictureOptions {
  /** What to draw. `(word:1.3)` counts more and `[word]` less, with weights from -10 to 10. */
  @Prompt({ example: 'a lighthouse on a cliff, watercolour' })
  readonly prompt!: string;

  /**
   * A PNG, JPEG or WebP picture to draw from, at most 20 MiB and 65 megapixels. Its address has to begin to answer within
   * 3 seconds and to end within 10. Only public http and https addresses on ports 80 and 443, and at most 3 redirects. Or the
   * picture itself, as `image` has it.
   */
  @Optional()
  @PictureInput()
  readonly reference_image_url?: string | Buffer;

  /**
   * Who it is for, as OpenAI's clients send it: callers share the queue fairly by it. One that can be a `user_id` is that
   * user: the job and its picture are theirs, and are deleted with them. Any other is a label for the queue alone.
   */
  @Optional()
  @Caller()
  readonly user?: string;
}
