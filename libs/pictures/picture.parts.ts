import { describeOther } from './picture.formats';

/** Why a picture is refused: "Expected `expected` but received `received`". */
export class PictureRefusal extends Error {
  constructor(
    readonly expected: string,
    readonly received: string,
  ) {
    super(`Expected ${expected} but received ${received}`);
  }
}

/** Chunks or segments that one file may have. A 20 MiB PNG of 4 KiB chunks has 5,000. */
const MAX_PARTS = 65_536;
/**
 * Scans that one JPEG may have; encoders write up to 12. Each one is a pass over all pixels during which libjpeg cannot
 * be stopped: 2,600 of them, in half a megabyte, took 40 seconds.
 */
const MAX_SCANS = 64;
/** Largest EXIF block, which is only read for the orientation. A JPEG could not hold more. */
const MAX_EXIF = 65_536;

/**
 * A PNG, JPEG or WebP file without the parts that draw nothing: comments, texts, XMP, thumbnails, what follows the end,
 * and of an animation all frames but the first. Only colour (ICC and the like) and EXIF (for the orientation) remain. It
 * is not the decoded picture that kills a service but these parts, which the libraries unpack and collect before anybody
 * asks: 100 compressed texts in a PNG of 0.8 MB took 3.7 GB, 5 million empty segments in a JPEG 1.4 GB, 300,000 frames in
 * a WebP minutes.
 *
 * Cuts, never mends: what is damaged stays so for the decoder to refuse. Throws PictureRefusal.
 */
export function drawnParts(bytes: Buffer): Buffer {
  if (bytes.length === 0) throw new PictureRefusal('a PNG, JPEG or WebP picture', 'no bytes');
  if (isPng(bytes)) return pngParts(bytes);
  if (bytes.subarray(0, 3).equals(JPEG_START)) return jpegParts(bytes);
  if (text(bytes, 0, 4) === 'RIFF' && text(bytes, 8, 12) === 'WEBP') return webpParts(bytes);
  throw new PictureRefusal('a PNG, JPEG or WebP picture', describeOther(bytes));
}

const text = (bytes: Buffer, from: number, to: number) => bytes.toString('latin1', from, to);

class Kept {
  readonly slices: Buffer[] = [];
  private readonly seen = new Map<string, number>();
  private parts = 0;

  /** To be called for every part of the file. */
  count(): void {
    if (++this.parts > MAX_PARTS) throw new PictureRefusal(`at most ${MAX_PARTS} parts in a picture`, 'more');
  }

  /** `name` is kept as often as `times` says; what comes more often draws nothing. */
  keep(slice: Buffer, name: string, times = 1): void {
    const seen = (this.seen.get(name) ?? 0) + 1;
    this.seen.set(name, seen);
    if (seen <= times) this.slices.push(slice);
  }

  times(name: string): number {
    return this.seen.get(name) ?? 0;
  }
}

const PNG_START = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
/** By its first bytes, whatever follows. */
export const isPng = (bytes: Buffer): boolean => bytes.subarray(0, PNG_START.length).equals(PNG_START);
/** Of the chunks that a decoder may skip (lower case), those that change how the picture looks. */
const PNG_LOOKS = new Set(['tRNS', 'gAMA', 'cHRM', 'sRGB', 'iCCP', 'eXIf']);

/** PNG, third edition: length, name, data, CRC. */
function pngParts(bytes: Buffer): Buffer {
  const kept = new Kept();
  for (let at = PNG_START.length, end; at + 8 <= bytes.length; at = end) {
    kept.count();
    const length = bytes.readUInt32BE(at);
    const name = text(bytes, at + 4, at + 8);
    end = at + 12 + length;
    const slice = bytes.subarray(at, end);
    const mayBeSkipped = (bytes[at + 4] & 0x20) !== 0;
    if (!mayBeSkipped) kept.keep(slice, name, Infinity);
    else if (PNG_LOOKS.has(name) && !(name === 'eXIf' && length > MAX_EXIF)) kept.keep(slice, name);
    if (name === 'IEND') break;
  }
  return Buffer.concat([PNG_START, ...kept.slices]);
}

const JPEG_START = Buffer.from([0xff, 0xd8, 0xff]);
const [EOI, SOI, SOS] = [0xd9, 0xd8, 0xda];
/** Of the application segments those that change how the picture looks: name and how many belong together. */
const JPEG_LOOKS: [marker: number, start: string, times: number][] = [
  [0xe0, 'JFIF\0', 1],
  [0xe1, 'Exif\0\0', 1],
  [0xe2, 'ICC_PROFILE\0', 255],
  [0xee, 'Adobe', 1],
];

const JPEG_END = Buffer.from([0xff, EOI]);
/** Whether drawnParts found no end of a JPEG. Phones and downloads lose it while every pixel is there. */
export const lacksEnd = (drawn: Buffer): boolean => drawn[0] === 0xff && !drawn.subarray(-2).equals(JPEG_END);
export const withEnd = (drawn: Buffer): Buffer => Buffer.concat([drawn, JPEG_END]);

/** ITU T.81, annex B: FF, a marker, and for most of them a length and data; pixels follow some without a length. */
function jpegParts(bytes: Buffer): Buffer {
  const kept = new Kept();
  for (let at = nextMarker(bytes, 2), end; at < bytes.length; at = nextMarker(bytes, end)) {
    kept.count();
    const marker = bytes[at + 1];
    end = at + 2;
    if (marker !== EOI && marker !== SOI && at + 4 <= bytes.length) {
      end += Math.max(2, bytes.readUInt16BE(at + 2)); // as libjpeg takes a length that does not count itself
    }
    if (marker === SOS) end = nextMarker(bytes, end);
    const slice = bytes.subarray(at, end);
    const application = (marker & 0xf0) === 0xe0 || marker === 0xfe;
    if (!application) kept.keep(slice, String(marker), Infinity);
    for (const [code, start, times] of JPEG_LOOKS) {
      if (marker === code && text(bytes, at + 4, at + 4 + start.length) === start) {
        kept.keep(slice, start, times);
      }
    }
    if (kept.times(String(SOS)) > MAX_SCANS) {
      throw new PictureRefusal(`a JPEG of at most ${MAX_SCANS} scans`, 'one of more');
    }
    if (marker === EOI) break;
  }
  return Buffer.concat([JPEG_START.subarray(0, 2), ...kept.slices]);
}

/** Where the next marker begins, from `at` on; stuffed zeros, fill bytes and restart markers are none. */
function nextMarker(bytes: Buffer, at: number): number {
  for (; at + 1 < bytes.length; at++) {
    if (bytes[at] !== 0xff) continue;
    const code = bytes[at + 1];
    if (code > 0x01 && code < 0xff && (code < 0xd0 || code > 0xd7)) return at;
  }
  return bytes.length;
}

const WEBP_DRAWN = new Set(['VP8X', 'ICCP', 'ALPH', 'VP8 ', 'VP8L', 'EXIF']);

/** RFC 9649: a RIFF chunk of chunks. An animation becomes its first frame, in the frame's own size. */
function webpParts(bytes: Buffer): Buffer {
  const kept = new Kept();
  const frame = keepChunks(bytes.subarray(12, 8 + bytes.readUInt32LE(4)), kept);
  const slices = frame ? kept.slices.map((slice) => stillCanvas(slice, frame)) : kept.slices;
  const parts = Buffer.concat(slices);
  const head = Buffer.from(bytes.subarray(0, 12));
  head.writeUInt32LE(4 + parts.length, 4);
  return Buffer.concat([head, parts]);
}

/** Chunks: a name, a length in little endian, data and a byte that makes it even. Returns the first frame, if any. */
function keepChunks(chunks: Buffer, kept: Kept): Buffer | undefined {
  let frame: Buffer | undefined;
  for (let at = 0, end; at + 8 <= chunks.length; at = end) {
    kept.count();
    const name = text(chunks, at, at + 4);
    const length = chunks.readUInt32LE(at + 4);
    end = at + 8 + length + (length % 2);
    const slice = chunks.subarray(at, end);
    if (name === 'ANMF') {
      kept.keep(slice, name, 0);
      if (kept.times(name) > 1) continue;
      frame = slice;
      keepChunks(slice.subarray(24), kept); // behind its place, size and time
    } else if (WEBP_DRAWN.has(name) && !(name === 'EXIF' && length > MAX_EXIF)) kept.keep(slice, name);
  }
  return frame;
}

/** VP8X of an animation -> that of one of its frames: no flag of animations, and the frame's size. */
function stillCanvas(slice: Buffer, frame: Buffer): Buffer {
  if (text(slice, 0, 4) !== 'VP8X' || slice.length < 18 || frame.length < 20) return slice;
  const still = Buffer.from(slice);
  still[8] &= ~0x02;
  frame.copy(still, 12, 14, 20);
  return still;
}
