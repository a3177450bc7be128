import { ApiProperty, ApiPropertyOptional, OmitType } from '@nestjs/swagger';
import { ServiceError } from '@app/errors';
import type { JobRecord } from '@app/jobs';
import { OUTPUT_FORMATS, PNG, type OutputFormat } from '@app/pictures';
import { GenerationRequest } from '../images/images.dto';
import { PictureData, PictureReply } from '../jobs/picture.dto';
import { Caller, Flag, OneOf, Optional, Unsupported, Whole } from '../validation/fields';

export const RESPONSE_FORMATS = ['url', 'b64_json'] as const;
export type ResponseFormat = (typeof RESPONSE_FORMATS)[number];

const QUALITIES = ['low', 'medium', 'high', 'xhigh', 'max', 'auto', 'standard', 'hd'] as const;
type Quality = (typeof QUALITIES)[number];
/** Steps of the qualities that cost less than the others. */
const STEPS: Partial<Record<Quality, number>> = { low: 20, medium: 30 };

const STILL = 'this service draws still images';
const NO_VECTORS = 'this service draws no vector graphics';

/** OpenAI's own request, beside the options that all picture routes share. */
export class CreateImageRequest extends GenerationRequest {
  /**
   * `url`: a link; `b64_json`: the picture itself. Left out: `b64_json` for models named `gpt-image` or `chatgpt-image`
   * something, as OpenAI has it, else `url`.
   */
  @Optional()
  @OneOf(RESPONSE_FORMATS)
  readonly response_format?: ResponseFormat;

  /** Steps where num_inference_steps gives none: 20 for `low`, 30 for `medium`, as many as without it for all others. */
  @Optional()
  @OneOf(QUALITIES)
  readonly quality?: Quality;

  /** Has no effect, and the reply's `warnings` say so: the prompt decides. */
  @Optional()
  @OneOf(['vivid', 'natural'])
  readonly style?: string;

  /** Has no effect: prompts and pictures are not moderated. */
  @Optional()
  @OneOf(['low', 'auto'])
  readonly moderation?: string;

  /** Has no effect, and the reply's `warnings` say so: nothing is planned before a picture is drawn. */
  @Optional()
  @OneOf(['low', 'medium', 'high'])
  readonly complexity?: string;

  /** Pictures are opaque. */
  @Optional()
  @OneOf(['opaque', 'auto'])
  readonly background?: string;

  /**
   * The reply is a stream of events: partial images, then the image, or an error. Of one picture only, since no event says
   * which it is of.
   */
  @Optional()
  @Flag({ default: false })
  readonly stream?: boolean;

  /** With `stream`: so many partial images at most, small and blurred, from as many places of the sampling. */
  @Optional()
  @Whole(0, 3, { default: 0 })
  readonly partial_images?: number;

  /** Who it is for, as `user`, which wins where both are there. */
  @Optional()
  @Caller()
  readonly safety_identifier?: string;

  /** Of an animation, which no picture is: `null` alone is taken. */
  @Unsupported(STILL)
  readonly frame_count?: unknown;

  /** Of an animation, which no picture is: `null` alone is taken. */
  @Unsupported(STILL)
  readonly frame_duration_ms?: unknown;

  /** Of a vector graphic, which no picture is: `null` alone is taken. */
  @Unsupported(NO_VECTORS)
  readonly svg?: unknown;
}

/** The fields that have no effect where one would be seen. */
const WITHOUT_EFFECT = ['style', 'complexity'] as const;

/** Throws `invalid_request` for what each field of the request may be, but not together. */
export function assertStreamable({ stream, n }: { readonly stream?: boolean; readonly n?: number }): void {
  if (!stream || n === undefined || n === 1) return;
  const sentence = `Expected n of 1 with stream, since no event says which picture it is of, but received ${n}`;
  throw new ServiceError('invalid_request', sentence, 'n');
}

/** Our own request of OpenAI's. The same object: pictures in it are forgotten once they are copied (ImagesService). */
export const toGeneration = (request: CreateImageRequest): GenerationRequest =>
  Object.assign(request, {
    num_inference_steps: request.num_inference_steps ?? (request.quality && STEPS[request.quality]),
    user: request.user ?? request.safety_identifier,
  });

export const warningsOf = (request: CreateImageRequest): string[] =>
  WITHOUT_EFFECT.filter((field) => request[field] !== undefined).map(
    (field) => `${field} has no effect with this model: say it in the prompt`,
  );

/** What a job's pictures are stored as. */
export const outputFormatOf = ({ picture }: JobRecord): OutputFormat => (picture.output ?? PNG).format;

export const formatOf = ({ response_format: format, model = '' }: CreateImageRequest): ResponseFormat =>
  format ?? (/^(?:chat)?gpt-image/.test(model) ? 'b64_json' : 'url');

export class ImageData extends OmitType(PictureData, ['url']) {
  /** Where to download it, as in the reply of the other picture routes. Only with response_format `url`. */
  @ApiPropertyOptional({ example: 'http://localhost:8000/images/generated/0123456789abcdef01234567.png' })
  readonly url?: string;

  /** The picture in base64. Only with response_format `b64_json`. */
  @ApiPropertyOptional({ format: 'byte' })
  readonly b64_json?: string;
}

class InputTokens {
  /** Always 0. */
  readonly image_tokens!: number;
  /** Always 0. */
  readonly text_tokens!: number;
}

export class TokenUsage {
  /** Always 0. */
  readonly input_tokens!: number;
  /** Always 0. */
  readonly output_tokens!: number;
  /** Always 0. */
  readonly total_tokens!: number;
  /** Of input_tokens. */
  readonly input_tokens_details!: InputTokens;
}

/** Pictures cost steps and pixels, not tokens. */
export const NO_TOKENS: TokenUsage = {
  ...{ input_tokens: 0, output_tokens: 0, total_tokens: 0 },
  input_tokens_details: { image_tokens: 0, text_tokens: 0 },
};

/** As OpenAI's replies name it: those of its qualities that it still has. */
export const qualityOf = ({ quality }: CreateImageRequest): string | undefined =>
  /^(?:low|medium|high|xhigh|max)$/.test(quality ?? '') ? quality : undefined;

export class ImagesReply extends OmitType(PictureReply, ['data']) {
  /** The pictures: `n` of them, less those that were deleted. */
  readonly data!: ImageData[];

  /** Always `opaque`. */
  @ApiProperty({ enum: ['opaque'] })
  readonly background!: 'opaque';

  /** What the pictures are. */
  @ApiProperty({ enum: OUTPUT_FORMATS })
  readonly output_format!: OutputFormat;

  /** The quality that was asked for, where it was one of OpenAI's present ones. */
  @ApiPropertyOptional({ enum: ['low', 'medium', 'high', 'xhigh', 'max'] })
  readonly quality?: string;

  /**
   * `WIDTHxHEIGHT` in pixels.
   * @example "1024x1024"
   */
  readonly size!: string;

  /** As OpenAI's clients expect it. Nothing here is counted in tokens. */
  readonly usage!: TokenUsage;
}
