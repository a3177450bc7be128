import { ServiceError } from '@app/errors';
import { DEFAULT_MASKED_STRENGTH, DEFAULT_STRENGTH } from '@app/models/family';
import type { CallersNames } from '../errors/callers.names';
import type { EditImageRequest, GivenPicture } from './edits.dto';
import { CreateImageRequest, toGeneration } from './openai.dto';

/** So much less of a picture is changed where more of it is to stay. */
const FIDELITY = 0.25;

export interface Edit {
  /** Our own request. */
  readonly wanted: CreateImageRequest;
  /** What the caller calls those of its fields that hold pictures. */
  readonly names: CallersNames;
}

/** Our own request of OpenAI's edit. The pictures move into it: the first is changed, the second guides. */
export function toEdit(request: EditImageRequest): Edit {
  const { image, images, mask, input_fidelity: fidelity, ...all } = request;
  const options: Partial<EditImageRequest> = all;
  delete options.markup; // null, which is nothing
  Object.assign(request, { image: undefined, images: undefined, mask: undefined });
  if (image !== undefined && images !== undefined) {
    throw new ServiceError('invalid_request', 'Expected image or images but received both', 'images');
  }
  const given = images ?? image;
  if (given === undefined) {
    throw new ServiceError('invalid_request', 'Expected a picture for image but received nothing', 'image');
  }
  const [first, second] = [given].flat();
  const { reference_image_url: reference } = options;
  if (second !== undefined && reference !== undefined) {
    const sentence = 'Expected one reference but received a second picture and reference_image_url';
    throw new ServiceError('invalid_request', sentence, 'reference_image_url');
  }
  const usual = mask === undefined ? DEFAULT_STRENGTH : DEFAULT_MASKED_STRENGTH;
  const wanted = Object.assign(new CreateImageRequest(), options, {
    image: inputOf(first),
    mask: mask && inputOf(mask),
    reference_image_url: second === undefined ? reference : inputOf(second),
    strength: options.strength ?? (fidelity === 'high' ? usual - FIDELITY : usual),
  });
  toGeneration(wanted);
  return { wanted, names: namesOf(images ? 'images' : 'image', given, second) };
}

const inputOf = (picture: GivenPicture): string | Buffer =>
  typeof picture === 'string' || Buffer.isBuffer(picture) ? picture : picture.image_url;

function namesOf(field: string, given: unknown, second: unknown): Map<string, string> {
  const names = new Map<string, string>();
  if (Array.isArray(given)) names.set('image', `${field}.0`);
  if (second !== undefined) names.set('reference_image_url', `${field}.1`);
  return names;
}
