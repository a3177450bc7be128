import { readFileSync } from 'node:fs';
import { linear, norm, writeShared, type Shapes } from './shared.weights';

/** CLIP ViT-H's width and that of the resampler, its layers, and the tokens that it makes of a picture. */
const [WIDE, INNER, LAYERS, TOKENS] = [1280, 5120, 4, 16];
/** Width of the demo's texts, where SDXL's is 2048. */
const TEXT = 128;

const layer = (name: string): Shapes => ({
  ...norm(`${name}.0.norm1`, WIDE),
  ...norm(`${name}.0.norm2`, WIDE),
  [`${name}.0.to_q.weight`]: [WIDE, WIDE],
  [`${name}.0.to_kv.weight`]: [2 * WIDE, WIDE],
  [`${name}.0.to_out.weight`]: [WIDE, WIDE],
  ...norm(`${name}.1.0`, WIDE),
  [`${name}.1.1.weight`]: [INNER, WIDE],
  [`${name}.1.3.weight`]: [WIDE, INNER],
});

/** What IP-Adapter Plus and Plus-Face for SDXL have in place of the plain one's projection. */
export const RESAMPLER: Shapes = {
  'image_proj.latents': [1, TOKENS, WIDE],
  ...linear('image_proj.proj_in', WIDE, WIDE),
  ...linear('image_proj.proj_out', WIDE, TEXT),
  ...norm('image_proj.norm_out', TEXT),
  ...(Object.assign(
    {},
    ...Array.from({ length: LAYERS }, (_, i) => layer(`image_proj.layers.${i}`)),
  ) as Shapes),
};

/** The attention layers of the demo's own adapter, which are its UNet's. */
function attention(adapter: string): Shapes {
  const file = readFileSync(adapter);
  const header = JSON.parse(file.toString('utf8', 8, 8 + Number(file.readBigUInt64LE()))) as Record<
    string,
    { shape: number[] }
  >;
  const own = Object.entries(header).filter(([name]) => name.startsWith('ip_adapter.'));
  return Object.fromEntries(own.map(([name, { shape }]) => [name, shape]));
}

/**
 * Writes an adapter for the demo's UNet, whose own one is `adapter`, with the true names of `projection`, and weights that mean
 * nothing.
 */
export const writeAdapter = (
  path: string,
  adapter: string,
  projection: Shapes = RESAMPLER,
  seed = 1,
): Promise<void> => writeShared(path, { ...projection, ...attention(adapter) }, seed);
