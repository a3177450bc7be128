/**
 * A safetensors file of random weights that nobody has to keep: its bytes are made while they are read, the same ones
 * from any offset. Drawing billions of numbers one by one would take minutes and time nothing else, so tensors are
 * pieces of one table.
 */
import { open } from 'node:fs/promises';
import { randomNumbers } from './random.numbers.mjs';

/** What fills a tensor: a constant, Gaussian numbers of this standard deviation, or these bytes. @typedef {0 | 1 | { std: number } | { bytes: Buffer }} Fill */
/** @typedef {{ name: string, shape: number[], fill: Fill, dtype?: string }} Tensor */
/** @typedef {'F16' | 'F32'} Dtype */
/** A stretch of the file: `size` bytes of `source` from `from` on. @typedef {{ start: number, source: Buffer, from: number, size: number }} Piece */
/** @typedef {{ size: number, read: (start?: number) => Generator<Buffer> }} RandomFile */

/** Numbers in a table. */
const TABLE = 1 << 20;

/**
 * @param {Tensor[]} tensors
 * @param {{ seed: number, dtype?: Dtype }} options `dtype`: of tensors that have none of their own
 * @returns {RandomFile}
 */
export function randomFile(tensors, { seed, dtype = 'F16' }) {
  const head = header(tensors, dtype);
  const random = randomNumbers(seed);
  const table = tables(random, dtype);
  /** @type {Piece[]} */
  const pieces = [{ start: 0, source: head, from: 0, size: head.length }];
  let size = head.length;
  for (const tensor of tensors) {
    const own = typeof tensor.fill === 'object' && 'bytes' in tensor.fill ? tensor.fill.bytes : undefined;
    const source = own ?? table(/** @type {any} */ (tensor.fill));
    for (let left = own?.length ?? bytesOf(tensor, dtype); left > 0;) {
      // Each piece starts elsewhere in the table, or all tensors would be alike.
      const from = own ? 0 : WIDTH[dtype] * Math.floor((random() * TABLE) / 2);
      const piece = { start: size, source, from, size: Math.min(left, source.length - from) };
      pieces.push(piece);
      left -= piece.size;
      size += piece.size;
    }
  }
  const read = function* (start = 0) {
    for (const { start: at, source, from, size } of pieces) {
      const skip = Math.max(0, start - at);
      if (skip < size) yield source.subarray(from + skip, from + size);
    }
  };
  return { size, read };
}

/**
 * @param {RandomFile} file
 * @param {string} path which must not exist
 */
export async function writeRandomFile(file, path) {
  const out = await open(path, 'wx');
  try {
    for (const piece of file.read()) await out.write(piece);
  } finally {
    await out.close();
  }
}

/** @type {Record<Dtype, number>} bytes of a number */
const WIDTH = { F16: 2, F32: 4 };

/** @param {Tensor} tensor @param {Dtype} dtype */
const bytesOf = ({ shape, fill }, dtype) =>
  typeof fill === 'object' && 'bytes' in fill
    ? fill.bytes.length
    : WIDTH[dtype] * shape.reduce((product, side) => product * side, 1);

/** @param {Tensor[]} tensors @param {Dtype} dtype */
function header(tensors, dtype) {
  /** @type {Record<string, unknown>} */
  const entries = {};
  let end = 0;
  for (const tensor of tensors) {
    const offsets = [end, (end += bytesOf(tensor, dtype))];
    entries[tensor.name] = { dtype: tensor.dtype ?? dtype, shape: tensor.shape, data_offsets: offsets };
  }
  const json = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json]);
}

/**
 * What a tensor's bytes are taken from.
 *
 * @param {() => number} random
 * @param {Dtype} dtype
 */
function tables(random, dtype) {
  // Box and Muller.
  const normal = Float32Array.from(
    { length: TABLE },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
  /** @type {Map<string, Buffer>} */
  const made = new Map();
  return (/** @type {0 | 1 | { std: number }} */ fill) => {
    const key = JSON.stringify(fill);
    let found = made.get(key);
    if (!found) {
      const values = typeof fill === 'number' ? normal.map(() => fill) : normal.map((x) => x * fill.std);
      made.set(key, (found = dtype === 'F32' ? Buffer.from(values.buffer) : halves(values)));
    }
    return found;
  };
}

/** Towards zero; what is too small for a normal half becomes 0. @param {Float32Array} values */
function halves(values) {
  const bits = new Uint32Array(values.buffer);
  const half = (/** @type {number} */ x) => {
    const exponent = ((x >>> 23) & 0xff) - 112;
    if (exponent <= 0) return 0;
    return ((x >>> 16) & 0x8000) | (exponent << 10) | ((x >>> 13) & 0x3ff);
  };
  return Buffer.from(Uint16Array.from(bits, half).buffer);
}
