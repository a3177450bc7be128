import type { Sight } from './user.faces';

/** Narrower faces lose details: the image encoder sees 224 pixels. */
export const GOOD_WIDTH = 200;
/** Below it a face is blurred. */
export const GOOD_SHARPNESS = 1.5;
/** What a sharp one has; more is noise. */
const FULL_SHARPNESS = 4;
/** Degrees in the plane of the picture, beyond which models draw no face any more. */
export const MOST_ROLL = 45;
/** What a face is worth that is turned further: more than none. */
const TURNED = 0.01;

/** What a likeness can be made of, 0 to 1: the size and sharpness of the largest face. Without a face 0. */
export function faceQuality({ faces }: Sight): number {
  const [face] = faces ?? [];
  if (!face) return 0;
  const size = Math.min(1, face.width / GOOD_WIDTH);
  const sharpness = Math.min(1, face.sharpness / FULL_SHARPNESS);
  return size * sharpness * (Math.abs(face.roll) > MOST_ROLL ? TURNED : 1);
}
