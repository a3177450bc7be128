import sharp from 'sharp';
import type { Size } from '@app/config';
import type { RawPicture } from './encode';
import type { Region } from './framing';

/** A part of RGB pixels. */
export function cutOut({ pixels, width }: RawPicture, part: Region): Buffer {
  const rows = Array.from({ length: part.height }, (_, row) => {
    const start = ((part.y + row) * width + part.x) * 3;
    return pixels.subarray(start, start + part.width * 3);
  });
  return Buffer.concat(rows);
}

/** RGB pixels of another size, all of them. */
export const resized = ({ pixels, width, height }: RawPicture, size: Size): Promise<Buffer> =>
  sharp(pixels, { raw: { width, height, channels: 3 } })
    .resize({ ...size, fit: 'fill' })
    .raw()
    .toBuffer();

/** A picture, or with a byte a pixel its mask, in the middle of a larger one that mirrors it beyond its edges. */
export async function surrounded(pixels: Buffer, { width, height }: Size, larger: Size): Promise<Buffer> {
  if (width === larger.width && height === larger.height) return pixels;
  const channels = pixels.length === width * height ? 1 : 3;
  const [left, top] = [(larger.width - width) >> 1, (larger.height - height) >> 1];
  const rest = { right: larger.width - width - left, bottom: larger.height - height - top };
  return sharp(pixels, { raw: { width, height, channels } })
    .extend({ left, top, ...rest, extendWith: 'mirror' })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .raw()
    .toBuffer();
}
