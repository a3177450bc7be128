import sharp, { type Sharp } from 'sharp';
import { ServiceError } from '@app/errors';
import { REFERENCE_SIDE } from './pipeline.types';

/** Largest picture that users may send, in bytes. */
export const MAX_PICTURE_BYTES = 20 * 1024 * 1024;
/** Largest picture that users may send, in pixels: 50 megapixels are 200 MB once decoded. */
export const MAX_PICTURE_PIXELS = 50_000_000;
/** Avatars and photos are kept at most this large, in pixels per side; the image encoder sees 224. */
export const MAX_AVATAR_SIDE = 1024;
/** Longest decode, in seconds. */
const DECODE_TIMEOUT = 15;

// Of libvips' many loaders (SVG, PDF, ImageMagick, ...) only three may ever see a user's bytes. They choose by
// content, so a name or a Content-Type cannot open another door. This holds for the whole process.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['VipsForeignLoadPngBuffer', 'VipsForeignLoadJpegBuffer', 'VipsForeignLoadWebpBuffer'],
});
// Nothing is decoded twice: the cache would only keep users' pictures in memory.
sharp.cache(false);
// How many decode at once needs no limit of ours: sharp runs on libuv's pool (4 threads), the rest waits there.

export interface Avatar {
  readonly png: Buffer;
  /** pixels */
  readonly width: number;
  readonly height: number;
}

/** A user's picture -> 8-bit sRGB PNG without metadata, never enlarged. `param` is the field to blame. */
export async function toAvatarPng(bytes: Buffer, param?: string): Promise<Avatar> {
  const { data, info } = await decode(bytes, param, (picture) =>
    picture
      .resize({ width: MAX_AVATAR_SIDE, height: MAX_AVATAR_SIDE, fit: 'inside', withoutEnlargement: true })
      .png(),
  );
  return { png: data, width: info.width, height: info.height };
}

/**
 * A user's picture -> REFERENCE_SIDE x REFERENCE_SIDE RGB, as the IP-Adapter's image encoder was trained to see
 * it: shortest edge to 224 with bicubic, then the centre. This is CLIPImageProcessor with its defaults
 * (huggingface/transformers, models/clip/image_processing_clip.py: size {shortest_edge: 224}, resample BICUBIC,
 * crop_size 224), which diffusers uses for IP-Adapter. sharp's `cubic` is Catmull-Rom, as Pillow's BICUBIC is.
 */
export async function toReference(bytes: Buffer, param?: string): Promise<Buffer> {
  const { data } = await decode(bytes, param, (picture) =>
    picture
      .resize({
        width: REFERENCE_SIDE,
        height: REFERENCE_SIDE,
        fit: 'cover',
        position: 'centre',
        kernel: 'cubic',
      })
      .raw(),
  );
  return data;
}

/** Upright by EXIF, on white, sRGB, 8 bits, metadata dropped; then `shape` says in what form. */
async function decode(bytes: Buffer, param: string | undefined, shape: (picture: Sharp) => Sharp) {
  if (bytes.length > MAX_PICTURE_BYTES) {
    throw unsupported(`at most ${MAX_PICTURE_BYTES / 1024 / 1024} MiB`, `${bytes.length} bytes`, param);
  }
  try {
    // `error` refuses truncated files too; warnings (odd but harmless metadata) pass.
    const picture = sharp(bytes, {
      failOn: 'error',
      limitInputPixels: MAX_PICTURE_PIXELS,
      autoOrient: true,
    });
    const { pages = 1 } = await picture.metadata();
    if (pages > 1) throw unsupported('a still picture', `an animation of ${pages} frames`, param);
    return await shape(
      picture.flatten({ background: '#ffffff' }).toColourspace('srgb').timeout({ seconds: DECODE_TIMEOUT }),
    ).toBuffer({ resolveWithObject: true });
  } catch (error) {
    throw error instanceof ServiceError ? error : refusal(error, bytes, param);
  }
}

/** libvips says why in free text; the caller gets one of four sentences. */
function refusal(error: unknown, bytes: Buffer, param?: string): ServiceError {
  const reason = error instanceof Error ? error.message : '';
  if (bytes.length === 0) return unsupported('a PNG, JPEG or WebP picture', 'no bytes', param, error);
  if (/pixel limit|dimensions? exceed/i.test(reason)) {
    return unsupported(`at most ${MAX_PICTURE_PIXELS / 1e6} megapixels`, 'a larger picture', param, error);
  }
  if (/unsupported image format/i.test(reason)) {
    return unsupported('a PNG, JPEG or WebP picture', 'something else', param, error);
  }
  if (/timeout/i.test(reason)) {
    const limit = `a picture that decodes within ${DECODE_TIMEOUT} seconds`;
    return unsupported(limit, 'a slower one', param, error);
  }
  return unsupported('a complete PNG, JPEG or WebP picture', 'a damaged or cut one', param, error);
}

function unsupported(expected: string, received: string, param?: string, cause?: unknown): ServiceError {
  const field = param ? ` for ${param}` : '';
  const sentence = `Expected ${expected}${field} but received ${received}`;
  return new ServiceError('unsupported_picture', sentence, param, { cause });
}

/**
 * The engine's RGB pixels -> PNG. Level 1: on a 1024x1024 picture level 6 takes twice as long (103 against 55 ms)
 * for a file that is rarely read twice; level 0 would store and send 3 MB where level 1 sends 1.8.
 */
export function encodePng(pixels: Buffer, width: number, height: number): Promise<Buffer> {
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

/** The engine's RGB preview -> JPEG in base64, a few kilobytes. */
export async function encodePreview(pixels: Buffer, width: number, height: number): Promise<string> {
  const raw = { width, height, channels: 3 } as const;
  return (await sharp(pixels, { raw }).jpeg({ quality: 70 }).toBuffer()).toString('base64');
}
