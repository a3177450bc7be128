import { writeFile } from 'node:fs/promises';
import { withHeader } from './safetensors';

export type Shapes = Record<string, readonly number[]>;

export const linear = (name: string, inputs: number, outputs: number): Shapes => ({
  [`${name}.weight`]: [outputs, inputs],
  [`${name}.bias`]: [outputs],
});
export const norm = (name: string, width: number): Shapes => ({
  [`${name}.weight`]: [width],
  [`${name}.bias`]: [width],
});

/** Of half precision: 1, and small numbers of either sign. */
const ONE = 0x3c00;
const SMALL = [0x2a66, 0xa51f, 0x28f6, 0x9c29, 0xab33, 0x2333, 0xa7ae, 0x2100];

const sizeOf = (shape: readonly number[]) => shape.reduce((product, side) => product * side, 1);

/**
 * Writes weights that mean nothing: small ones, of layers named norm ones, and biases of zero. Tensors share their bytes, as
 * many as the largest has.
 */
export async function writeShared(path: string, shapes: Shapes, seed = 1): Promise<void> {
  const count = Math.max(...Object.values(shapes).map(sizeOf));
  const data = Buffer.alloc(count * 2 * 3);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data.writeUInt16LE(SMALL[state >>> 29], i * 2);
  }
  const [ones, zeros] = [count * 2, count * 4];
  for (let i = 0; i < count; i++) data.writeUInt16LE(ONE, ones + i * 2);
  const from = (name: string) => {
    if (name.endsWith('.bias')) return zeros;
    return /norm(\d|_out)?\.weight$/.test(name) ? ones : 0;
  };
  const header: Record<string, unknown> = {};
  for (const [name, shape] of Object.entries(shapes))
    header[name] = { dtype: 'F16', shape, data_offsets: [from(name), from(name) + sizeOf(shape) * 2] };
  await writeFile(path, withHeader(header, data));
}
