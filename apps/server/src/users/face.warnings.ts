import type { ServiceError } from '@app/errors';
import { GOOD_SHARPNESS, GOOD_WIDTH, MOST_ROLL } from './face.quality';
import type { CropChoice, Sight } from './user.faces';
import { wordFor, type UserPicture } from './user.pictures';

/** In words, what stands in the way of a good likeness. What the model sees is not told where a caller has said it. */
export function faceWarnings(of: UserPicture, { faces, width, height }: Sight, crop?: CropChoice): string[] {
  const kind = wordFor(of);
  const used = (sentence: string) => (crop === 'caller' ? '' : `; ${sentence}`);
  if (!faces) return [`the ${kind} was not searched for faces; it is tried again when it is next used`];
  const [face] = faces;
  if (!face) return [`no face found${used('the part of the picture that draws the eye is used')}`];
  const warnings: string[] = [];
  if (faces.length > 1) warnings.push(`${faces.length} people${used('the largest face is used')}`);
  if (face.width < GOOD_WIDTH) {
    warnings.push(`the face is ${face.width} pixels wide; ${GOOD_WIDTH} or more give a better likeness`);
  }
  if (face.sharpness < GOOD_SHARPNESS) {
    warnings.push('the face is blurred; a sharp picture gives a better likeness');
  }
  if (Math.abs(face.roll) > MOST_ROLL) {
    warnings.push(`the face is turned by ${Math.abs(face.roll)} degrees; turn the ${kind} upright`);
  }
  const touches =
    face.x <= 0 || face.y <= 0 || face.x + face.width >= width || face.y + face.height >= height;
  if (touches) warnings.push(`the face is cut at the border of the ${kind}`);
  return warnings;
}

/** Of a photo that another program has put there. */
export const unreadablePhoto = (number: number, { message }: ServiceError): string =>
  `Photo ${number} cannot be read and is left out: ${message}`;
