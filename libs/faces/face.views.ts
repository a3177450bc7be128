import sharp from 'sharp';
import type { FoundFace, Pixels } from './face.protocol';

/** Side of the square that is looked at at once, in pixels: the detector's own input is 256, the mesh's 192. */
export const VIEW_SIDE = 512;

/** A part of a picture: the square at `left`, `top` with `side`, as far as the picture goes. */
export interface View {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

export const wholeOf = ({ width, height }: Pixels): View => ({
  left: 0,
  top: 0,
  side: Math.max(width, height, VIEW_SIDE),
});

/** Overlapping squares, for faces too small to be seen in the whole. None where the whole shows every pixel, or nearly. */
export function windowsOf({ width, height }: Pixels): View[] {
  if (Math.max(width, height) < VIEW_SIDE * 1.25) return [];
  return starts(height).flatMap((top) => starts(width).map((left) => ({ left, top, side: VIEW_SIDE })));
}

/** A face that is at the end of one is whole in the next: they overlap by half. */
function starts(length: number): number[] {
  const steps = Math.max(0, Math.ceil((length - VIEW_SIDE) / (VIEW_SIDE / 2)));
  return Array.from({ length: steps + 1 }, (_, i) =>
    Math.round((i * (length - VIEW_SIDE)) / (steps || 1)),
  ).map((start) => Math.max(0, start));
}

/** What the detector gets of a view; beyond the picture it is black. */
export async function pixelsOf(picture: Pixels, { left, top, side }: View): Promise<Pixels> {
  const { width, height } = picture;
  const pixels = await sharp(picture.pixels, { raw: { width, height, channels: 3 } })
    .extract({ left, top, width: Math.min(side, width - left), height: Math.min(side, height - top) })
    .resize({
      width: VIEW_SIDE,
      height: VIEW_SIDE,
      fit: 'contain',
      position: 'left top',
      background: '#000000',
      withoutEnlargement: true,
    })
    .raw()
    .toBuffer();
  return { pixels, width: VIEW_SIDE, height: VIEW_SIDE };
}

/** A face of a view, in pixels of the picture. */
export function inPicture<T extends FoundFace>(face: T, { left, top, side }: View): T {
  const scale = side / VIEW_SIDE;
  return {
    ...face,
    x: left + face.x * scale,
    y: top + face.y * scale,
    width: face.width * scale,
    height: face.height * scale,
  };
}

/** The picture turned by 180 degrees. */
export function upsideDown({ pixels, width, height }: Pixels): Pixels {
  const turned = Buffer.alloc(pixels.length);
  for (let from = 0, to = pixels.length - 3; to >= 0; from += 3, to -= 3) {
    turned[to] = pixels[from];
    turned[to + 1] = pixels[from + 1];
    turned[to + 2] = pixels[from + 2];
  }
  return { pixels: turned, width, height };
}

/** A face of the picture turned by 180 degrees, in the picture. */
export const turnedBack = (face: FoundFace, { width, height }: Pixels): FoundFace => ({
  ...face,
  x: width - face.x - face.width,
  y: height - face.y - face.height,
  roll: face.roll > 0 ? face.roll - 180 : face.roll + 180,
});
