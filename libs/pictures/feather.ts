import { setImmediate } from 'node:timers/promises';
import type { RawPicture } from './encode';
import type { Region } from './framing';

/** Share of a part's side within which it becomes the picture around it. */
const FEATHER = 1 / 8;

/** Pixels after which others get their turn: some milliseconds. */
const PIXELS_AT_ONCE = 100_000;

/**
 * Puts RGB pixels in the place of a part of a picture. Towards its edges they become what was there; not at those that are the
 * picture's own. Around it every pixel stays.
 */
export async function putBack(picture: RawPicture, part: Region, painted: Buffer): Promise<void> {
  const { pixels, width, height } = picture;
  const across = weights(part.x, part.width, width);
  const down = weights(part.y, part.height, height);
  const rows = Math.ceil(PIXELS_AT_ONCE / part.width);
  for (let y = 0; y < part.height; y++) {
    const [from, to] = [y * part.width, (part.y + y) * width + part.x];
    const blend = (start: number, end: number) => {
      for (let x = start; x < end; x++) {
        const weight = across[x] * down[y];
        for (let at = (to + x) * 3, of = (from + x) * 3; at < (to + x + 1) * 3; at++, of++) {
          pixels[at] = Math.round(pixels[at] + (painted[of] - pixels[at]) * weight);
        }
      }
    };
    // Where both are 1 it is a copy.
    const start = down[y] === 1 && across.includes(1) ? across.indexOf(1) : part.width;
    const end = Math.max(start, across.lastIndexOf(1) + 1);
    blend(0, start);
    painted.copy(pixels, (to + start) * 3, (from + start) * 3, (from + end) * 3);
    blend(end, part.width);
    if (y % rows === rows - 1) await setImmediate();
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
