/** Everything that a full SDXL service loads, as files of random numbers: 10.7 GB, written in about 20 s. */
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { randomAdapter, randomImageEncoder, randomLora, randomVae } from './random.adapter.mjs';
import { writeRandomFile } from './random.file.mjs';
import { randomSdxl } from './random.sdxl.mjs';

/** @typedef {import('./random.file.mjs').RandomFile} RandomFile */
/** @typedef {Awaited<ReturnType<typeof makeWeights>>} Weights */

export const LORA_RANK = 32;

/**
 * Files that are there already, whole and of the same kind, are used again.
 *
 * @param {string} folder
 * @param {{ channels: number, seed: number, sparse: boolean }} options `sparse`: holes in place of numbers, which cost
 *   neither time nor disk: flat pictures, which the addon refuses, except on a device that computes nothing.
 */
export async function makeWeights(folder, { channels, seed, sparse }) {
  await mkdir(folder, { recursive: true });
  const lora = randomLora(seed + 4, LORA_RANK, channels);
  const files = {
    model: randomSdxl({ channels, seed }),
    vae: randomVae(seed + 1),
    ipAdapter: randomAdapter(seed + 2, channels),
    clipVision: randomImageEncoder(seed + 3),
    lora: lora.file,
    otherLora: randomLora(seed + 5, LORA_RANK, channels).file,
  };
  const kind = [channels, seed, ...(sparse ? ['sparse'] : [])].join('-');
  /** @type {[string, string][]} */
  const paths = [];
  let bytes = 0;
  for (const [name, file] of Object.entries(files)) {
    const path = join(folder, `${name}-${kind}.safetensors`);
    // A LoRA of zeros is refused, and small enough to be written.
    const holes = sparse && file !== files.lora && file !== files.otherLora;
    if ((await sizeOf(path)) !== file.size) await write(file, path, holes);
    paths.push([name, path]);
    bytes += file.size;
  }
  const made = /** @type {Record<keyof typeof files, string>} */ (Object.fromEntries(paths));
  return { ...made, bytes, loraLayers: lora.layers };
}

/** @param {RandomFile} file @param {string} path @param {boolean} sparse */
async function write(file, path, sparse) {
  await rm(path, { force: true });
  if (!sparse) return writeRandomFile(file, path);
  const out = await open(path, 'wx');
  try {
    const [header] = file.read();
    await out.write(header);
    await out.truncate(file.size);
  } finally {
    await out.close();
  }
}

/** @param {string} path */
const sizeOf = (path) =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
