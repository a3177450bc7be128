import { linear, norm, writeShared, type Shapes } from './shared.weights';

/** CLIP ViT-L/14, whose shape the engine expects, and the widths of SDXL's two text encoders together. */
const [WIDE, INNER, LAYERS, TEXT] = [1024, 4096, 24, 2048];

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

/**
 * Writes PhotoMaker 1 with its true names and shapes, and weights that mean nothing: 0.6 GB in the engine. `without`: tensors
 * that are left out; `lora`: others that come with it.
 */
export const writePhotoMaker = (
  path: string,
  { without = /^$/, lora = {} }: { readonly without?: RegExp; readonly lora?: Shapes } = {},
): Promise<void> => {
  const shapes = Object.entries({ ...SHAPES, ...lora }).filter(([name]) => !without.test(name));
  return writeShared(path, Object.fromEntries(shapes));
};
