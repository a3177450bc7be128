import { ApiPropertyOptional, OmitType } from '@nestjs/swagger';
import { isPictureInput, OneOf, Optional, PICTURE_INPUT, rule, Unsupported } from '../validation/fields';
import { CreateImageRequest } from './openai.dto';

/** The one that is changed, and a reference. */
export const MOST_IMAGES = 2;

/** As forms have it, as our own routes do, or as OpenAI's JSON. */
export type GivenPicture = Buffer | string | { readonly image_url: string };

const URL = { type: 'string', pattern: PICTURE_INPUT.source };
const REFERENCE = {
  type: 'object',
  properties: { image_url: URL, file_id: { type: 'null' } },
  required: ['image_url'],
  additionalProperties: false,
};
const ONE = [URL, REFERENCE];
const LIST = { type: 'array', items: { anyOf: ONE }, minItems: 1, maxItems: MOST_IMAGES };

const PICTURE =
  'a picture, its address, or {image_url} with either (no file_id, since no files are kept here)';
const PICTURES = `1 or 2 pictures, the one to change and a reference, each ${PICTURE},`;

function isGiven(value: unknown): boolean {
  if (isPictureInput(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { image_url, file_id, ...others } = value as Record<string, unknown>;
  return isPictureInput(image_url) && (file_id ?? null) === null && Object.keys(others).length === 0;
}

const isList = (value: unknown): boolean =>
  Array.isArray(value) && value.length >= 1 && value.length <= MOST_IMAGES && value.every(isGiven);

/** OpenAI's own request, beside the options that all picture routes share. */
export class EditImageRequest extends OmitType(CreateImageRequest, ['image', 'mask']) {
  /**
   * The picture to change, or a list of it and of a second one, which guides the result as `reference_image_url` does. Files
   * in a form (`image` or `image[]`). PNG, JPEG or WebP, each at most 20 MiB and 65 megapixels.
   */
  @Optional()
  @ApiPropertyOptional({ anyOf: [...ONE, LIST] })
  @rule('pictures', PICTURES, (value) => isGiven(value) || isList(value))
  readonly image?: GivenPicture | GivenPicture[];

  /** The same, as OpenAI's JSON has it. */
  @Optional()
  @ApiPropertyOptional({ anyOf: ONE, minItems: 1, maxItems: MOST_IMAGES })
  @rule('pictures', PICTURES, isList)
  readonly images?: GivenPicture[];

  /**
   * Which part of the first picture is painted anew: what is transparent in this picture of the same proportions or, where
   * nothing is, what is white. The rest stays as it is, to the bit.
   */
  @Optional()
  @ApiPropertyOptional({ anyOf: ONE })
  @rule('picture', PICTURE, isGiven)
  readonly mask?: GivenPicture;

  /**
   * How much of the first picture stays, where `strength` does not say it: with `high`, `strength` is 0.5 in place of 0.75,
   * or 0.75 in place of 1 where there is a mask.
   */
  @Optional()
  @OneOf(['high', 'low'], { default: 'low' })
  readonly input_fidelity?: 'high' | 'low';

  /** What is drawn over a picture says nothing to this model: `null` alone is taken. */
  @Unsupported('this model reads no markup: say it in the prompt, and where by a mask')
  markup?: unknown;
}
