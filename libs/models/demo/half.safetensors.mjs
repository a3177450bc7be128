/** Files of F16 tensors, read and written. */
import { closeSync, openSync, readSync } from 'node:fs';

/** @typedef {[name: string, shape: number[], values: Float64Array | number[]]} Tensor */

/** @param {string} path */
export function openCheckpoint(path) {
  const file = openSync(path, 'r');
  /** @type {(at: number, length: number) => Buffer} */
  const bytes = (at, length) => {
    const buffer = Buffer.alloc(length);
    readSync(file, buffer, 0, length, at);
    return buffer;
  };
  const length = Number(bytes(0, 8).readBigUInt64LE());
  const header = /** @type {Record<string, { data_offsets: [number, number] }>} */ (
    JSON.parse(bytes(8, length).toString())
  );
  return {
    names: Object.keys(header).sort(),
    close: () => closeSync(file),
    /** @type {(name: string, first?: number, count?: number) => Float64Array} */
    read(name, first = 0, count) {
      const [begin, end] = header[name].data_offsets;
      const data = bytes(8 + length + begin + first * 2, count ? count * 2 : end - begin);
      return Float64Array.from({ length: data.length / 2 }, (_, i) => fromHalf(data.readUInt16LE(i * 2)));
    },
  };
}

/** @param {Tensor[]} list */
export function safetensors(list) {
  /** @type {Record<string, { dtype: string, shape: number[], data_offsets: [number, number] }>} */
  const header = {};
  /** @type {Map<string, number>} */
  const shared = new Map();
  const chunks = [];
  let end = 0;
  for (const [name, shape, values] of list) {
    const data = Buffer.alloc(values.length * 2);
    values.forEach((x, i) => data.writeUInt16LE(toHalf(x), i * 2));
    // The `down` matrices are alike: they share their bytes.
    const key = data.toString('latin1');
    const at = shared.get(key) ?? end;
    if (at === end) {
      shared.set(key, at);
      chunks.push(data);
      end += data.length;
    }
    header[name] = { dtype: 'F16', shape, data_offsets: [at, at + data.length] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([size, padded, ...chunks]);
}

/** @param {number} half */
function fromHalf(half) {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -size : size;
}

/**
 * Nearest half; the values here are far from overflow.
 *
 * @param {number} value
 */
function toHalf(value) {
  const sign = value < 0 ? 0x8000 : 0;
  let size = Math.abs(value);
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24);
  let exponent = 15;
  for (; size >= 2; size /= 2) exponent++;
  for (; size < 1; size *= 2) exponent--;
  const fraction = Math.round((size - 1) * 1024);
  return sign | ((exponent << 10) + fraction);
}
