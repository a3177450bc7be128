/** Parts of picture files, written by hand where no encoder would write them. */
const { crc32, deflateSync } = require('node:zlib');

const PNG_START = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

/** @param {string} name */
function pngChunk(name, data = Buffer.alloc(0)) {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(name, 4, 'latin1');
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** @param {number} marker */
function jpegSegment(marker, data = Buffer.alloc(0)) {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([head, data]);
}

/** @param {string} name */
function webpChunk(name, data = Buffer.alloc(0)) {
  const chunk = Buffer.alloc(8 + data.length + (data.length % 2));
  chunk.write(name, 0, 'latin1');
  chunk.writeUInt32LE(data.length, 4);
  data.copy(chunk, 8);
  return chunk;
}

/** @param {Buffer[]} chunks */
function webp(...chunks) {
  const body = Buffer.concat([Buffer.from('WEBP'), ...chunks]);
  return webpChunk('RIFF', body).subarray(0, 8 + body.length);
}

/**
 * Chunks, segments or RIFF chunks of a sound file; together they are the file again. The first is its head.
 *
 * @param {Buffer} bytes
 */
function partsOf(bytes) {
  const parts = [];
  const isPng = bytes.subarray(0, 8).equals(PNG_START);
  const isJpeg = bytes[0] === 0xff;
  let at = isPng ? 8 : isJpeg ? 2 : 12;
  parts.push(bytes.subarray(0, at));
  while (at < bytes.length) {
    let end;
    if (isPng) end = at + 12 + bytes.readUInt32BE(at);
    else if (isJpeg) end = bytes[at + 1] === 0xd9 ? at + 2 : at + 2 + bytes.readUInt16BE(at + 2);
    else end = at + 8 + bytes.readUInt32LE(at + 4) + (bytes.readUInt32LE(at + 4) % 2);
    if (isJpeg && bytes[at + 1] === 0xda) {
      while (bytes[end] !== 0xff || bytes[end + 1] === 0 || (bytes[end + 1] & 0xf8) === 0xd0) end++;
    }
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}

/**
 * A PNG of one colour in any bit depth: `interlace` 1 makes a decoder hold all of it.
 *
 * @param {number} side
 * @param {{ depth?: 8 | 16, colour?: 0 | 2 | 4 | 6, interlace?: 0 | 1 }} [options]
 */
function flatPng(side, { depth = 8, colour = 2, interlace = 0 } = {}) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head.set([depth, colour, 0, 0, interlace], 8);
  const channels = { 0: 1, 2: 3, 4: 2, 6: 4 }[colour];
  const rows = Buffer.alloc(side * (1 + Math.ceil((side * channels * depth) / 8)));
  // Adam7 has more rows, each of them with its filter byte; zeros serve for all.
  const data = deflateSync(interlace ? Buffer.concat([rows, Buffer.alloc(side * 8)]) : rows);
  return Buffer.concat([PNG_START, pngChunk('IHDR', head), pngChunk('IDAT', data), pngChunk('IEND')]);
}

/**
 * `png` with texts that unpack to 7.9 MB each, before or (`late`) behind its pixels. libpng unpacks them all.
 *
 * @param {Buffer} png
 * @param {number} count
 */
function withTexts(png, count, late = false) {
  const packed = deflateSync(Buffer.alloc(7_900_000, 'a'), { level: 9 });
  const texts = Array.from({ length: count }, (_, i) =>
    pngChunk('iTXt', Buffer.concat([Buffer.from(`key${i}\0\x01\0\0\0`, 'latin1'), packed])),
  );
  const at = late ? png.length - 12 : 33;
  return Buffer.concat([png.subarray(0, at), ...texts, png.subarray(at)]);
}

/**
 * `jpeg` with `count` copies of a segment after its start.
 *
 * @param {Buffer} jpeg
 * @param {Buffer} segment
 * @param {number} count
 */
function withSegments(jpeg, segment, count) {
  return Buffer.concat([jpeg.subarray(0, 2), ...Array(count).fill(segment), jpeg.subarray(2)]);
}

/**
 * A progressive JPEG -> one that refines every coefficient of every component bit by bit, as the format allows: each
 * scan is a pass over all pixels in 75 bytes.
 *
 * @param {Buffer} progressive
 * @param {number} count
 */
function withScans(progressive, count) {
  const parts = partsOf(progressive);
  /** @param {number} bits */
  const scan = (bits) => parts.findIndex((part) => part[1] === 0xda && part[4] === 1 && part[9] === bits);
  const first = parts.findIndex((part) => part[1] === 0xda);
  const [start, refine] = [scan(0x01), scan(0x10)];
  const scans = [];
  for (let i = 0; i < count; i++) {
    const [component, coefficient, bit] = [
      Math.floor(i / 882) + 1,
      (Math.floor(i / 14) % 63) + 1,
      13 - (i % 14),
    ];
    const one = Buffer.from(parts[bit === 13 ? start : refine]);
    one.set([component, one[6], coefficient, coefficient, bit === 13 ? 0x0d : ((bit + 1) << 4) | bit], 5);
    scans.push(one);
  }
  const tables = [parts[start - 1], parts[refine - 1]];
  return Buffer.concat([...parts.slice(0, first + 1), ...tables, ...scans, Buffer.from([0xff, 0xd9])]);
}

/**
 * A lossless WebP with a set of Huffman tables of its own for every block of 4 x 4 pixels, up to 65,536 of them: the
 * format allows it, and each set takes 5 KB in a decoder.
 *
 * @param {number} side
 */
function webpOfTables(side) {
  const bits = new BitWriter();
  bits.write(0x2f, 8);
  for (const value of [side - 1, side - 1]) bits.write(value, 14);
  bits.write(0, 1 + 3 + 1 + 1); // no alpha, version 0, no transform, no colour cache
  bits.write(1, 1 + 3); // sets of tables, for blocks of 4 x 4
  bits.write(0, 1);
  bits.table(256 + 24);
  bits.table(256);
  for (let i = 0; i < 3; i++) bits.noTable();
  const blocks = Math.ceil(side / 4) ** 2;
  for (let i = 0; i < blocks; i++) {
    const set = Math.min(i, 65_535);
    bits.write(reversed(set & 0xff), 8);
    bits.write(reversed(set >> 8), 8);
  }
  for (let i = 0; i < 5 * Math.min(blocks, 65_536); i++) bits.noTable();
  return webp(webpChunk('VP8L', bits.bytes()));
}

/** Least significant bit first, as VP8L has it. */
class BitWriter {
  /** @type {number[]} */
  #done = [];
  #byte = 0;
  #used = 0;

  /**
   * @param {number} value
   * @param {number} count
   */
  write(value, count) {
    for (let i = 0; i < count; i++) {
      this.#byte |= ((value >> i) & 1) << this.#used;
      if (++this.#used === 8) {
        this.#done.push(this.#byte);
        this.#byte = this.#used = 0;
      }
    }
  }

  /** Only the symbol 0, in no bits. */
  noTable() {
    this.write(1, 4);
  }

  /**
   * The first 256 of `size` symbols, in 8 bits each.
   *
   * @param {number} size
   */
  table(size) {
    this.write(0, 1);
    this.write(12 - 4, 4);
    for (const length of [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8])
      this.write(Number(length === 0 || length === 8), 3);
    this.write(0, 1);
    for (let i = 0; i < size; i++) this.write(Number(i < 256), 1);
  }

  bytes() {
    return Buffer.from([...this.#done, ...(this.#used ? [this.#byte] : [])]);
  }
}

/** @param {number} byte */
const reversed = (byte) =>
  Array.from({ length: 8 }, (_, i) => ((byte >> i) & 1) << (7 - i)).reduce((a, b) => a | b);

module.exports = {
  pngChunk,
  jpegSegment,
  webpChunk,
  webp,
  partsOf,
  flatPng,
  withTexts,
  withSegments,
  withScans,
  webpOfTables,
};
