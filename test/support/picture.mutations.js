/** Broken and hostile pictures, the same ones for the same seed: for a spec and for `npm run fuzz:pictures`. */
const { createHash } = require('node:crypto');
const { deflateSync } = require('node:zlib');
const sharp = require('sharp');
const files = require('./picture.files');

/** @typedef {{ readonly name: string, readonly bytes: Buffer }} HostilePicture the name is for people */
/** @typedef {(n: number) => number} Below a whole number below n */
/**
 * @typedef {{ bytes: Buffer, parts: Buffer[], other: Buffer, below: Below, noise: (length: number) => Buffer }} Sound
 *   a file, its parts, and another file
 */

/** How often a bomb comes among the pictures: each may take seconds, and a few of each kind are enough. */
const BOMBS = 0.03;

/** Sound pictures of every kind, small. */
async function corpus() {
  const raw = /** @type {const} */ ({ width: 96, height: 64, channels: 3 });
  const pixels = Buffer.from(Array.from({ length: 96 * 64 * 3 }, (_, i) => (i * 7 + (i >> 6) * 13) & 0xff));
  const plain = () => sharp(pixels, { raw });
  const named = () => plain().withExif({ IFD0: { Copyright: 'a name' } });
  const pages = sharp(Buffer.concat([pixels, pixels]), { raw: { ...raw, height: 128, pageHeight: 64 } });
  const made = {
    png: plain().png(),
    'palette png': plain().png({ palette: true }),
    '16-bit png': plain().toColourspace('rgb16').png(),
    'interlaced png': plain().png({ progressive: true }),
    'transparent png': plain().ensureAlpha(0.5).png(),
    'grey png': plain().toColourspace('b-w').png(),
    'wide png': plain().withIccProfile('p3').png(),
    jpeg: plain().jpeg(),
    'progressive jpeg': plain().jpeg({ progressive: true, chromaSubsampling: '4:4:4' }),
    'cmyk jpeg': plain().toColourspace('cmyk').jpeg(),
    'grey jpeg': plain().toColourspace('b-w').jpeg(),
    'exif jpeg': named().withMetadata({ orientation: 6 }).jpeg(),
    webp: plain().webp(),
    'lossless webp': plain().webp({ lossless: true }),
    'transparent webp': plain().ensureAlpha(0.5).webp(),
    'exif webp': named().webp(),
    'animated webp': pages.webp({ delay: [100, 100] }),
  };
  const names = Object.keys(made);
  const bytes = await Promise.all(Object.values(made).map((picture) => picture.toBuffer()));
  return names.map((name, i) => ({ name, bytes: bytes[i] }));
}

/**
 * Each makes of a sound file a broken one.
 *
 * @type {Record<string, (sound: Sound) => Buffer>}
 */
const MUTATIONS = {
  'bits flipped': ({ bytes, below }) => flip(bytes, 1 + below(32), () => below(bytes.length), below),
  'bits of the head flipped': ({ bytes, below }) => flip(bytes, 1 + below(8), () => below(64), below),
  cut: ({ bytes, below }) => bytes.subarray(0, below(bytes.length)),
  'cut out': ({ bytes, below }) => {
    const at = below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(200))]);
  },
  'bytes put in': ({ bytes, below, noise }) => {
    const at = below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), noise(1 + below(200)), bytes.subarray(at)]);
  },
  'bytes overwritten': ({ bytes, below, noise }) => {
    const copy = Buffer.from(bytes);
    noise(1 + below(100)).copy(copy, below(bytes.length));
    return copy;
  },
  'part doubled': ({ parts, below }) =>
    Buffer.concat(parts.toSpliced(below(parts.length), 0, parts[below(parts.length)])),
  'part many times': ({ parts, below }) => {
    const one = parts[below(parts.length)];
    return Buffer.concat(parts.toSpliced(1, 0, ...Array.from({ length: 1 + below(3000) }, () => one)));
  },
  'part removed': ({ parts, below }) => Buffer.concat(parts.toSpliced(below(parts.length), 1)),
  'parts swapped': ({ parts, below }) => {
    const swapped = [...parts];
    const [a, b] = [below(parts.length), below(parts.length)];
    [swapped[a], swapped[b]] = [swapped[b], swapped[a]];
    return Buffer.concat(swapped);
  },
  'part of another file': ({ parts, below, other }) =>
    Buffer.concat(parts.toSpliced(1 + below(parts.length), 0, files.partsOf(other)[1])),
  'part with a false length': ({ parts, below }) => {
    const at = 1 + below(parts.length - 1);
    const copy = Buffer.from(parts[at]);
    const length = [0, 1, 2, below(70_000), 0x7fffffff, 0xffffffff][below(6)];
    if (isPng(parts)) copy.writeUInt32BE(length, 0);
    else if (isJpeg(parts)) copy.writeUInt16BE(length & 0xffff, 2 % (copy.length - 1));
    else copy.writeUInt32LE(length, 4);
    return Buffer.concat(parts.toSpliced(at, 1, copy));
  },
  'data changed under a right sum': (sound) => {
    const { parts, below, noise } = sound;
    if (!isPng(parts)) return MUTATIONS['bytes overwritten'](sound);
    const at = 1 + below(parts.length - 1);
    const data = Buffer.from(parts[at].subarray(8, -4));
    if (data.length > 0) noise(Math.min(data.length, 8)).copy(data, below(data.length));
    return Buffer.concat(parts.toSpliced(at, 1, files.pngChunk(parts[at].toString('latin1', 4, 8), data)));
  },
  'size that lies': ({ parts, below }) => {
    const side = () => [0, 1, 97, 7000, 16_383, 32_768, 65_500, 65_535, 0x7fffffff, 0xffffffff][below(10)];
    return Buffer.concat(parts.map((part) => withSize(part, side(), side())));
  },
  'start of another format': ({ bytes, below }) => {
    const starts = [
      'GIF89a',
      'II*\0',
      '%PDF-1.7\n',
      '<svg xmlns="http://www.w3.org/2000/svg">',
      'BM',
      '\0\0\0\x20ftypavif',
    ];
    return Buffer.concat([Buffer.from(starts[below(starts.length)], 'latin1'), bytes]);
  },
  'another file behind': ({ bytes, other }) => Buffer.concat([bytes, other]),
  'noise behind a signature': ({ parts, below, noise }) => Buffer.concat([parts[0], noise(below(4000))]),
  noise: ({ below, noise }) => noise(below(4000)),
};

/**
 * Small files that grow; made at first use.
 *
 * @type {Record<string, (sound: Record<string, Buffer>) => Buffer | Promise<Buffer>>}
 */
const BOMBS_OF = {
  'interlaced 16-bit png of 64 megapixels': () => files.flatPng(8000, { depth: 16, colour: 6, interlace: 1 }),
  'png of 81 megapixels': () => files.flatPng(9000),
  'png of more data than pixels': () => {
    const [start, head] = files.partsOf(files.flatPng(8));
    const data = deflateSync(Buffer.alloc(400 * 2 ** 20));
    return Buffer.concat([start, head, files.pngChunk('IDAT', data), files.pngChunk('IEND')]);
  },
  'png of texts': (sound) => files.withTexts(sound.png, 400),
  'png of late texts': (sound) => files.withTexts(sound.png, 400, true),
  'png of tiny chunks': (sound) => {
    const [start, head, ...rest] = files.partsOf(sound.png);
    return Buffer.concat([start, head, ...Array(1_000_000).fill(files.pngChunk('abCd')), ...rest]);
  },
  'progressive jpeg of 64 megapixels': () =>
    flat(8000).jpeg({ progressive: true, chromaSubsampling: '4:4:4' }).toBuffer(),
  'progressive cmyk jpeg of 64 megapixels': () =>
    flat(8000).toColourspace('cmyk').jpeg({ progressive: true, chromaSubsampling: '4:4:4' }).toBuffer(),
  'jpeg of 2,600 scans': async () => {
    const picture = flat(4000).jpeg({ progressive: true, chromaSubsampling: '4:4:4' });
    return files.withScans(await picture.toBuffer(), 2600);
  },
  'jpeg of empty segments': (sound) => files.withSegments(sound.jpeg, files.jpegSegment(0xe1), 5_000_000),
  'jpeg of 65,500 pixels a side': (sound) =>
    Buffer.concat(files.partsOf(sound['progressive jpeg']).map((part) => withSize(part, 65_500, 65_500))),
  'thin jpeg, turned': () =>
    sharp({ create: { width: 1, height: 65_000, channels: 3, background: '#0ac81e' } })
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer(),
  'webp of huffman tables': () => files.webpOfTables(4096),
  'webp of 64 megapixels': () => flat(8000).webp({ lossless: true, effort: 0 }).toBuffer(),
  'webp of frames': (sound) => {
    const frame = Buffer.concat([Buffer.alloc(16), ...files.partsOf(sound['lossless webp']).slice(1)]);
    const one = files.webpChunk('ANMF', frame);
    const frames = Buffer.concat(Array(Math.floor((20 * 2 ** 20 - 100) / one.length)).fill(one));
    const canvas = files.webpChunk('VP8X', Buffer.from([2, 0, 0, 0, 95, 0, 0, 63, 0, 0]));
    return files.webp(canvas, files.webpChunk('ANIM', Buffer.alloc(6)), frames);
  },
  'the most bytes of noise': () => noiseOf('bomb', 20 * 2 ** 20),
};

/**
 * Broken and hostile pictures. The same seed and number give the same one, whatever was asked for before; 3 in 100 are
 * bombs, which may take seconds and half a gigabyte of whoever decodes them.
 *
 * @param {number} seed
 * @returns {Promise<(index: number) => Promise<HostilePicture>>}
 */
async function hostilePictures(seed) {
  const sound = await corpus();
  const byName = Object.fromEntries(sound.map(({ name, bytes }) => [name, bytes]));
  /** @type {Map<string, Buffer>} */
  const bombs = new Map();
  return async (index) => {
    const numbers = noiseOf(`${seed} ${index}`, 4096);
    let at = 0;
    const random = () => numbers.readUInt32LE(4 * (at++ % 1024)) / 2 ** 32;
    /** @type {Below} */
    const below = (n) => Math.floor(random() * n);
    /** @param {number} length */
    const noise = (length) => noiseOf(`${seed} ${index} ${at++}`, length);
    if (random() < BOMBS) {
      const name = Object.keys(BOMBS_OF)[below(Object.keys(BOMBS_OF).length)];
      const bytes = bombs.get(name) ?? (await BOMBS_OF[name](byName));
      bombs.set(name, bytes);
      return { name, bytes };
    }
    const { name, bytes } = sound[below(sound.length)];
    const other = sound[below(sound.length)].bytes;
    const mutation = Object.keys(MUTATIONS)[below(Object.keys(MUTATIONS).length)];
    const parts = files.partsOf(bytes);
    return {
      name: `${name}: ${mutation}`,
      bytes: MUTATIONS[mutation]({ bytes, parts, other, below, noise }),
    };
  };
}

/** @type {(parts: Buffer[]) => boolean} */
const isPng = ([start]) => start[0] === 0x89;
/** @type {(parts: Buffer[]) => boolean} */
const isJpeg = ([start]) => start[0] === 0xff;
/** @param {number} side */
const flat = (side) => sharp({ create: { width: side, height: side, channels: 3, background: '#0ac81e' } });

/**
 * @param {Buffer} bytes
 * @param {number} count
 * @param {() => number} where
 * @param {Below} below
 */
function flip(bytes, count, where, below) {
  const copy = Buffer.from(bytes);
  for (let i = 0; i < count; i++) copy[where()] ^= 1 << below(8);
  return copy;
}

/**
 * The part with other dimensions (and a right sum) where it is the one that has them.
 *
 * @param {Buffer} part
 * @param {number} width
 * @param {number} height
 */
function withSize(part, width, height) {
  const copy = Buffer.from(part);
  if (part.toString('latin1', 4, 8) === 'IHDR') {
    copy.writeUInt32BE(width, 8);
    copy.writeUInt32BE(height, 12);
    return files.pngChunk('IHDR', copy.subarray(8, -4));
  }
  if (part[0] === 0xff && part[1] >= 0xc0 && part[1] <= 0xc2) {
    copy.writeUInt16BE(height & 0xffff, 5);
    copy.writeUInt16BE(width & 0xffff, 7);
  } else if (part.toString('latin1', 0, 4) === 'VP8X') {
    copy.writeUIntLE((width - 1) & 0xffffff, 12, 3);
    copy.writeUIntLE((height - 1) & 0xffffff, 15, 3);
  } else if (part.toString('latin1', 0, 4) === 'VP8 ') {
    copy.writeUInt16LE(width & 0x3fff, 14);
    copy.writeUInt16LE(height & 0x3fff, 16);
  } else if (part.toString('latin1', 0, 4) === 'VP8L') {
    copy.writeUInt32LE((((width - 1) & 0x3fff) | (((height - 1) & 0x3fff) << 14)) >>> 0, 9);
  }
  return copy;
}

/**
 * Bytes without a pattern, the same for the same name.
 *
 * @type {(name: string, length: number) => Buffer}
 */
const noiseOf = (name, length) => createHash('shake256', { outputLength: length }).update(name).digest();

module.exports = { hostilePictures };
