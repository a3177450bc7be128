import type { RawPicture } from './encode';
import type { Region } from './framing';

/** Share of a part's side within which it becomes the picture around it. */
const FEATHER = 1 / 8;

/**
 * Puts RGB pixels in the place of a part of a picture. Towards its edges they become what was there; not at those that are the
 * picture's own. Around it every pixel stays.
 */
export function putBack(picture: RawPicture, part: Region, painted: Buffer): void {
  const { pixels, width, height } = picture;
  const across = weights(part.x, part.width, width);
  const down = weights(part.y, part.height, height);
  for (let y = 0, from = 0; y < part.height; y++) {
    let to = ((part.y + y) * width + part.x) * 3;
    for (let x = 0; x < part.width; x++) {
      const weight = across[x] * down[y];
      for (let channel = 0; channel < 3; channel++, from++, to++) {
        pixels[to] = Math.round(pixels[to] + (painted[from] - pixels[to]) * weight);
      }
    }
  }
}

/** Of the pixels of a row: 0 outside of it, 1 in its middle. */
function weights(start: number, length: number, whole: number): number[] {
  const feather = Math.max(1, Math.round(length * FEATHER));
  return Array.from({ length }, (_, i) => {
    const before = start === 0 ? feather : i;
    const after = start + length === whole ? feather : length - 1 - i;
    const share = Math.min(1, before / feather, after / feather);
    return share * share * (3 - 2 * share);
  });
}
