import type { Size } from '@app/config';
import { decode, onWhite, type Turn, unsupported } from './decode';

/** A picture to begin from. */
export interface Start {
  /** RGB, of `size`. */
  readonly pixels: Buffer;
  readonly size: Size;
  /** Its own size, upright. */
  readonly own: Size;
}

/** A user's picture -> RGB of the size that `sizeFor` makes of its own: as large as fits, the middle of it. */
export async function toStart(
  bytes: Buffer,
  param: string,
  turn: Turn,
  sizeFor: (own: Size) => Size,
): Promise<Start> {
  let own!: Size;
  const { data, info } = await decode(bytes, param, turn, (picture, { width, height }) => {
    own = { width, height };
    return onWhite(picture)
      .resize({ ...sizeFor(own), fit: 'cover' })
      .raw();
  });
  return { pixels: data, size: { width: info.width, height: info.height }, own };
}

/** Sides may be rounded where a picture was made smaller. */
const SAME_PROPORTIONS = 0.02;

/** Which part of a mask is painted anew. Without a word: what is transparent or, if nothing is, what is bright. */
export interface MaskRule {
  /** What is opaque, of a mask that is transparent elsewhere: strokes on a canvas, as AUTOMATIC1111 reads them. */
  readonly opaque: boolean;
  /** The other part of either. */
  readonly inverted: boolean;
}

/**
 * A user's mask -> a byte a pixel, 255 where the picture is painted anew. It lies on the picture as `toStart` cuts it.
 */
export async function toMask(
  bytes: Buffer,
  param: string,
  turn: Turn,
  start: Start,
  { opaque, inverted }: MaskRule = { opaque: false, inverted: false },
): Promise<Buffer> {
  const { data: rgba } = await decode(bytes, param, turn, (picture, { width, height }) => {
    const { own } = start;
    const skew = (width * own.height) / (height * own.width);
    if (Math.abs(skew - 1) > SAME_PROPORTIONS) {
      throw unsupported(`the proportions of image, ${own.width}x${own.height},`, `${width}x${height}`, param);
    }
    return picture
      .ensureAlpha()
      .resize({ ...start.size, fit: 'cover' })
      .raw();
  });
  const solid = opaque ? 129 : 128; // there what is half transparent is kept
  let hasHoles = false;
  for (let at = 3; at < rgba.length && !hasHoles; at += 4) hasHoles = rgba[at] < solid;
  const mask = Buffer.alloc(rgba.length / 4);
  for (let pixel = 0, at = 0; pixel < mask.length; pixel++, at += 4) {
    const isAnew = hasHoles
      ? rgba[at + 3] < solid !== opaque
      : rgba[at] + rgba[at + 1] + rgba[at + 2] > 3 * 127;
    if (isAnew !== inverted) mask[pixel] = 255;
  }
  if (mask.includes(255)) return mask;
  const wanted = `${opaque === inverted ? 'transparent' : 'opaque'} or ${inverted ? 'black' : 'white'}`;
  throw unsupported(`a mask that is ${wanted} somewhere`, 'one that is neither', param);
}

/**
 * What the mask keeps is the picture's, to the bit: the engine encodes and decodes it, and so changes it slightly. Byte by
 * byte: a call for each pixel would hold everything else in the process up ten times as long.
 */
export function keepUnmasked(pixels: Buffer, start: Buffer, mask: Buffer): void {
  for (let picture = 0; picture < pixels.length; picture += start.length) {
    for (let pixel = 0, at = 0; pixel < mask.length; pixel++, at += 3) {
      if (mask[pixel] > 127) continue;
      pixels[picture + at] = start[at];
      pixels[picture + at + 1] = start[at + 1];
      pixels[picture + at + 2] = start[at + 2];
    }
  }
}
