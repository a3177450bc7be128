import { writeFile } from 'node:fs/promises';
import { withHeader } from './safetensors';

/** CLIP ViT-L/14, whose shape the engine expects, and the widths of SDXL's two text encoders together. */
const [WIDE, INNER, LAYERS, TEXT] = [1024, 4096, 24, 2048];

type Shapes = Record<string, readonly number[]>;
const linear = (name: string, inputs: number, outputs: number): Shapes => ({
  [`${name}.weight`]: [outputs, inputs],
  [`${name}.bias`]: [outputs],
});
const norm = (name: string, width: number): Shapes => ({
  [`${name}.weight`]: [width],
  [`${name}.bias`]: [width],
});

const layer = (name: string): Shapes => ({
  ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].reduce(
    (all, part) => ({ ...all, ...linear(`${name}.self_attn.${part}`, WIDE, WIDE) }),
    {},
  ),
  ...norm(`${name}.layer_norm1`, WIDE),
  ...norm(`${name}.layer_norm2`, WIDE),
  ...linear(`${name}.mlp.fc1`, WIDE, INNER),
  ...linear(`${name}.mlp.fc2`, INNER, WIDE),
});

const layers = (): Shapes =>
  Object.assign(
    {},
    ...Array.from({ length: LAYERS }, (_, i) => layer(`vision_model.encoder.layers.${i}`)),
  ) as Shapes;

const fuse = (name: string, inputs: number): Shapes => ({
  ...linear(`${name}.fc1`, inputs, TEXT),
  ...linear(`${name}.fc2`, TEXT, TEXT),
  ...norm(`${name}.layernorm`, inputs),
});

/** PhotoMaker 1, as the engine takes it. */
const SHAPES: Shapes = {
  'vision_model.embeddings.class_embedding': [WIDE],
  'vision_model.embeddings.patch_embedding.weight': [WIDE, 3, 14, 14],
  'vision_model.embeddings.position_embedding.weight': [257, WIDE],
  ...norm('vision_model.pre_layernorm', WIDE),
  ...layers(),
  ...norm('vision_model.post_layernorm', WIDE),
  'visual_projection.weight': [768, WIDE],
  'visual_projection_2.weight': [1280, WIDE],
  ...fuse('fuse_module.mlp1', TEXT * 2),
  ...fuse('fuse_module.mlp2', TEXT),
  ...norm('fuse_module.layer_norm', TEXT),
};

/** Of half precision: 1, and small numbers of either sign. */
const ONE = 0x3c00;
const SMALL = [0x2a66, 0xa51f, 0x28f6, 0x9c29, 0xab33, 0x2333, 0xa7ae, 0x2100];

/**
 * Writes PhotoMaker 1 with its true names and shapes, and weights that mean nothing: 0.6 GB in the engine. Its tensors share
 * their bytes, as many as the largest has. `without`: tensors that are left out; `lora`: others that come with it.
 */
export async function writePhotoMaker(
  path: string,
  { without = /^$/, lora = {} }: { readonly without?: RegExp; readonly lora?: Shapes } = {},
): Promise<void> {
  const count = TEXT * TEXT * 2;
  const data = Buffer.alloc(count * 2 + TEXT * 4 + TEXT * 4);
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data.writeUInt16LE(SMALL[state >>> 29], i * 2);
  }
  const ones = count * 2;
  for (let i = 0; i < TEXT * 2; i++) data.writeUInt16LE(ONE, ones + i * 2);
  const zeros = ones + TEXT * 4;
  const from = (name: string) => {
    if (name.endsWith('.bias')) return zeros;
    return /norm\d?\.weight$/.test(name) ? ones : 0;
  };
  const header: Record<string, unknown> = {};
  for (const [name, shape] of Object.entries({ ...SHAPES, ...lora })) {
    if (without.test(name)) continue;
    const bytes = shape.reduce((product, side) => product * side, 2);
    header[name] = { dtype: 'F16', shape, data_offsets: [from(name), from(name) + bytes] };
  }
  await writeFile(path, withHeader(header, data));
}
