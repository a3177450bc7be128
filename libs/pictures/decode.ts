import sharp, { type ResizeOptions, type Sharp } from 'sharp';
import type { Size } from '@app/config';
import { ServiceError } from '@app/errors';
import type { Region } from './framing';
import { drawnParts, lacksEnd, PictureRefusal, withEnd } from './picture.parts';
import { REFERENCE_SIDE } from '@app/models/family';
import { Turns } from '@app/lifecycle';

/** Largest picture that users may send, in bytes. */
export const MAX_PICTURE_BYTES = 20 * 1024 * 1024;
/** Largest picture that users may send, in pixels: up to 660 MB while it is decoded. Phones make 64.4 million of them. */
export const MAX_PICTURE_PIXELS = 65_000_000;
/**
 * Longest side by shortest. A picture one pixel wide and 65,000 high is small, but to make its width 224 is to make
 * 3 gigapixels, of which the centre is then cut out: turned by EXIF they took 5 GB and more than a minute.
 */
const MAX_PROPORTION = 32;
/** Avatars and photos are kept at most this large, in pixels per side; the image encoder sees 224. */
export const MAX_AVATAR_SIDE = 1024;
const WITHIN_AVATAR: ResizeOptions = {
  width: MAX_AVATAR_SIDE,
  height: MAX_AVATAR_SIDE,
  fit: 'inside',
  withoutEnlargement: true,
};
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

/**
 * Pictures are decoded one at a time, and callers take turns. Of 65 megapixels a flat JPEG takes 15 MB, a progressive one
 * 400 (CMYK 540), an interlaced 16-bit PNG 600, a WebP with a Huffman table for every 16 pixels 660, and two of those more
 * than 1 GB. One takes a phone's photo in a fraction of the time in which an engine draws a picture.
 */
const heavy = new Turns(1);
/** Those take up to seconds, for which nobody's avatar should wait: what is light has a line of its own. */
const light = new Turns(1);
/** Bytes of pixels up to which a picture is light: read row by row, as photos and stored avatars are, 16 megapixels, */
const LIGHT_ROWS = 48 * 1024 * 1024;
/** and progressive or interlaced, where each of 64 scans is a pass over all of them, an avatar of 512x512. */
const LIGHT_SCANS = 1024 * 1024;
/** In so much of a file its decoder finds the size, or the file is not light. */
const HEAD_BYTES = 256 * 1024;

/** Whose turn it is; who leaves (`signal`) leaves the line. */
export interface Turn {
  readonly caller: string;
  readonly signal?: AbortSignal;
}
const NOBODYS: Turn = { caller: '' };

export interface Avatar {
  readonly png: Buffer;
  /** pixels */
  readonly width: number;
  readonly height: number;
}

/** A user's picture -> 8-bit sRGB PNG without metadata, never enlarged. `param` is the field to blame. */
export async function toAvatarPng(bytes: Buffer, param?: string, turn = NOBODYS): Promise<Avatar> {
  const { data, info } = await decode(bytes, param, turn, (picture) =>
    onWhite(picture).resize(WITHIN_AVATAR).png(),
  );
  return { png: data, width: info.width, height: info.height };
}

/** What of a picture the image encoder sees: a part of it, its middle, or what draws the eye (sharp's `attention`). */
export type Crop = Region | 'centre' | 'attention';

/**
 * A user's picture -> REFERENCE_SIDE x REFERENCE_SIDE RGB, as the IP-Adapter's image encoder was trained to see
 * it: shortest edge to 224 with bicubic, then the centre. This is CLIPImageProcessor with its defaults
 * (huggingface/transformers, models/clip/image_processing_clip.py: size {shortest_edge: 224}, resample BICUBIC,
 * crop_size 224), which diffusers uses for IP-Adapter. sharp's `cubic` is Catmull-Rom, as Pillow's BICUBIC is.
 * A region is seen whole: what it lacks to a square is white.
 */
export async function toReference(
  bytes: Buffer,
  param?: string,
  turn = NOBODYS,
  crop: Crop = 'centre',
): Promise<Buffer> {
  return (await decode(bytes, param, turn, (picture) => asReference(picture, crop))).data;
}

/** A picture as faces are looked for in it. */
export interface Overview {
  /** RGB */
  readonly pixels: Buffer;
  readonly width: number;
  readonly height: number;
  /** The picture's own size, upright. */
  readonly own: Size;
}

/** A user's picture -> RGB, shrunk to at most MAX_AVATAR_SIDE. */
export async function toOverview(bytes: Buffer, param?: string, turn = NOBODYS): Promise<Overview> {
  let own!: Size;
  const { data, info } = await decode(bytes, param, turn, (picture, { width, height }) => {
    own = { width, height };
    return onWhite(picture).resize(WITHIN_AVATAR).raw();
  });
  return { pixels: data, width: info.width, height: info.height, own };
}

/** The copy of a reference picture that a job carries -> the same. It is the service's own and small: it never waits. */
export async function copyToReference(bytes: Buffer): Promise<Buffer> {
  return (await decodeNow(bytes, undefined, (picture) => asReference(picture, 'centre'))).data;
}

/** The copy of a picture to begin from, or of its mask -> its pixels: three bytes each, or of a mask one. */
export async function pixelsOfCopy(bytes: Buffer, kind: 'image' | 'mask'): Promise<Buffer> {
  const copy = sharp(bytes);
  return (kind === 'mask' ? copy.extractChannel(0) : copy).raw().toBuffer();
}

/** What is transparent is white. */
export const onWhite = (picture: Sharp) => picture.flatten({ background: '#ffffff' });

function asReference(picture: Sharp, crop: Crop): Sharp {
  const square = { width: REFERENCE_SIDE, height: REFERENCE_SIDE, kernel: 'cubic' } as const;
  if (typeof crop === 'string') {
    return onWhite(picture)
      .resize({ ...square, fit: 'cover', position: crop })
      .raw();
  }
  const { x: left, y: top, width, height } = crop;
  return onWhite(picture)
    .extract({ left, top, width, height })
    .resize({ ...square, fit: 'contain', background: '#ffffff' })
    .raw();
}

/** `own`: the picture's size, upright. */
type Shape = (picture: Sharp, own: Size) => Sharp;

/** In turn. Rejects with `cancelled` when the signal aborts before the turn came. */
export async function decode(bytes: Buffer, param: string | undefined, { caller, signal }: Turn, as: Shape) {
  const line = (await isLight(bytes)) ? light : heavy;
  return line.run(caller, signal, () => decodeNow(bytes, param, as));
}

async function isLight(file: Buffer): Promise<boolean> {
  try {
    const head = drawnParts(file.subarray(0, HEAD_BYTES));
    const header = await sharp(head, { limitInputPixels: false }).metadata();
    const { format, isProgressive, width, height, channels, depth } = header;
    const bytesOfPixels = width * height * channels * (depth === 'uchar' ? 1 : 2);
    // A small WebP may ask for 100 MB of tables.
    return format !== 'webp' && bytesOfPixels <= (isProgressive ? LIGHT_SCANS : LIGHT_ROWS);
  } catch (error) {
    return error instanceof PictureRefusal; // which takes no time
  }
}

/** Upright by EXIF, sRGB, 8 bits, metadata dropped; then `as` says in what form. */
async function decodeNow(bytes: Buffer, param: string | undefined, as: Shape) {
  try {
    if (bytes.length > MAX_PICTURE_BYTES) {
      throw new PictureRefusal(`at most ${MAX_PICTURE_BYTES / 1024 / 1024} MiB`, `${bytes.length} bytes`);
    }
    const drawn = drawnParts(bytes);
    const { width, height, space, autoOrient } = await sharp(drawn, { limitInputPixels: false }).metadata();
    const size = `${width}x${height}`;
    if (width * height > MAX_PICTURE_PIXELS) {
      throw new PictureRefusal(`at most ${MAX_PICTURE_PIXELS / 1e6} megapixels`, size);
    }
    if (Math.max(width, height) > MAX_PROPORTION * Math.min(width, height)) {
      throw new PictureRefusal(`sides in a proportion of at most 1 to ${MAX_PROPORTION}`, size);
    }
    const endless = lacksEnd(drawn);
    const picture = sharp(endless ? withEnd(drawn) : drawn, {
      // `error` refuses truncated files too; warnings (odd but harmless metadata) pass. Where the end was put there,
      // only a warning tells that pixels are missing.
      failOn: endless ? 'warning' : 'error',
      limitInputPixels: MAX_PICTURE_PIXELS,
      autoOrient: true,
    });
    // sharp takes 16-bit pictures with a profile to Display P3, whose numbers would then pass for sRGB.
    if (space === 'rgb16') picture.pipelineColourspace('srgb');
    return await as(picture.toColourspace('srgb').timeout({ seconds: DECODE_TIMEOUT }), autoOrient).toBuffer({
      resolveWithObject: true,
    });
  } catch (error) {
    throw refusal(error, param);
  }
}

/** libvips says why in free text; the caller gets one of a few sentences. */
function refusal(error: unknown, param?: string): ServiceError {
  if (error instanceof ServiceError) return error;
  if (error instanceof PictureRefusal) return unsupported(error.expected, error.received, param);
  const reason = error instanceof Error ? error.message : '';
  if (/pixel limit|dimensions? exceed/i.test(reason)) {
    return unsupported(`at most ${MAX_PICTURE_PIXELS / 1e6} megapixels`, 'a larger picture', param, error);
  }
  if (/timeout/i.test(reason)) {
    const limit = `a picture that decodes within ${DECODE_TIMEOUT} seconds`;
    return unsupported(limit, 'a slower one', param, error);
  }
  return unsupported('a complete PNG, JPEG or WebP picture', 'a damaged or cut one', param, error);
}

export function unsupported(
  expected: string,
  received: string,
  param?: string,
  cause?: unknown,
): ServiceError {
  const field = param ? ` for ${param}` : '';
  const sentence = `Expected ${expected}${field} but received ${received}`;
  return new ServiceError('unsupported_picture', sentence, param, { cause });
}
