/**
 * A checkpoint with the layout of SDXL base and random weights, for speed and memory: it draws noise, as fast as the
 * real one draws pictures. Names and shapes are those of the original checkpoint (Stability-AI/generative-models,
 * configs/inference/sd_xl_base.yaml), in F16. `channels` is the UNet's model_channels: 320 is SDXL's, 2.6 billion
 * parameters; smaller ones, multiples of 32, keep the depth. Text encoders and VAE are always whole.
 */
import { randomFile, writeRandomFile } from './random.file.mjs';
import { bias, conv, linear, norm, table, times, weight } from './random.layers.mjs';

/** @typedef {import('./random.file.mjs').Tensor} Tensor */

/** Width of the text that the UNet attends to. */
export const CONTEXT = 2048;
const LABEL = 2816;
/** Of the checkpoint's tensor names. */
export const UNET = 'model.diffusion_model';
const VAE = 'first_stage_model';

/** @param {{ channels: number, seed: number }} options */
export const randomSdxl = ({ channels, seed }) =>
  randomFile([...clipL(), ...clipG(), ...unet(channels), ...vae(`${VAE}.`)], { seed });

/**
 * @param {string} path
 * @param {{ channels: number, seed: number }} options
 * @returns {Promise<number>} bytes written
 */
export async function writeRandomSdxl(path, options) {
  const file = randomSdxl(options);
  await writeRandomFile(file, path);
  return file.size;
}

/** OpenAI's CLIP ViT-L/14, as transformers names it. */
function clipL() {
  const model = 'conditioner.embedders.0.transformer.text_model';
  return [
    table(`${model}.embeddings.token_embedding.weight`, [49408, 768], 0.5),
    table(`${model}.embeddings.position_embedding.weight`, [77, 768], 0.1),
    ...times(12, (i) => {
      const layer = `${model}.encoder.layers.${i}`;
      const heads = ['q_proj', 'k_proj', 'v_proj', 'out_proj'];
      return [
        ...heads.flatMap((name) => linear(`${layer}.self_attn.${name}`, 768, 768)),
        ...norm(`${layer}.layer_norm1`, 768),
        ...norm(`${layer}.layer_norm2`, 768),
        ...linear(`${layer}.mlp.fc1`, 768, 3072),
        ...linear(`${layer}.mlp.fc2`, 3072, 768),
      ];
    }),
    ...norm(`${model}.final_layer_norm`, 768),
  ];
}

/** OpenCLIP's ViT-bigG/14, as open_clip names it. */
function clipG() {
  const model = 'conditioner.embedders.1.model';
  return [
    table(`${model}.token_embedding.weight`, [49408, 1280], 0.5),
    table(`${model}.positional_embedding`, [77, 1280], 0.1),
    table(`${model}.text_projection`, [1280, 1280], 0.03),
    ...times(32, (i) => {
      const block = `${model}.transformer.resblocks.${i}`;
      return [
        weight(`${block}.attn.in_proj_weight`, 3840, 1280),
        bias(`${block}.attn.in_proj_bias`, 3840),
        ...linear(`${block}.attn.out_proj`, 1280, 1280),
        ...norm(`${block}.ln_1`, 1280),
        ...norm(`${block}.ln_2`, 1280),
        ...linear(`${block}.mlp.c_fc`, 1280, 5120),
        ...linear(`${block}.mlp.c_proj`, 5120, 1280),
      ];
    }),
    ...norm(`${model}.ln_final`, 1280),
  ];
}

/** @param {number} channels */
export function unet(channels) {
  const model = UNET;
  const time = 4 * channels;
  const widths = [channels, 2 * channels, 4 * channels];
  const depths = [0, 2, 10];
  let width = channels;

  /** @param {string} name @param {number} from @param {number} to */
  const residual = (name, from, to) => [
    ...norm(`${name}.in_layers.0`, from),
    ...conv(`${name}.in_layers.2`, from, to, 3),
    ...linear(`${name}.emb_layers.1`, time, to),
    ...norm(`${name}.out_layers.0`, to),
    ...conv(`${name}.out_layers.3`, to, to, 3),
    ...(from === to ? [] : conv(`${name}.skip_connection`, from, to, 1)),
  ];

  const down = conv(`${model}.input_blocks.0.0`, 4, channels, 3);
  const skips = [channels];
  let block = 1;
  for (const [level, to] of widths.entries()) {
    for (let i = 0; i < 2; i++, block++) {
      down.push(...residual(`${model}.input_blocks.${block}.0`, width, to));
      down.push(...transformer(`${model}.input_blocks.${block}.1`, to, depths[level]));
      skips.push((width = to));
    }
    if (level < 2) {
      down.push(...conv(`${model}.input_blocks.${block++}.0.op`, width, width, 3));
      skips.push(width);
    }
  }

  /** @type {Tensor[]} */
  const up = [];
  block = 0;
  for (const level of [2, 1, 0]) {
    for (let i = 0; i < 3; i++, block++) {
      const name = `${model}.output_blocks.${block}`;
      up.push(...residual(`${name}.0`, width + /** @type {number} */ (skips.pop()), widths[level]));
      width = widths[level];
      up.push(...transformer(`${name}.1`, width, depths[level]));
      if (level > 0 && i === 2) up.push(...conv(`${name}.2.conv`, width, width, 3));
    }
  }

  const deep = widths[2];
  return [
    ...linear(`${model}.time_embed.0`, channels, time),
    ...linear(`${model}.time_embed.2`, time, time),
    ...linear(`${model}.label_emb.0.0`, LABEL, time),
    ...linear(`${model}.label_emb.0.2`, time, time),
    ...down,
    ...residual(`${model}.middle_block.0`, deep, deep),
    ...transformer(`${model}.middle_block.1`, deep, depths[2]),
    ...residual(`${model}.middle_block.2`, deep, deep),
    ...up,
    ...norm(`${model}.out.0`, channels),
    ...conv(`${model}.out.2`, channels, 4, 3),
  ];
}

/**
 * Self-attention, cross-attention to the text, and a gated feed-forward, `depth` times; none at depth 0.
 *
 * @param {string} name
 * @param {number} width
 * @param {number} depth
 */
function transformer(name, width, depth) {
  if (depth === 0) return [];
  return [
    ...norm(`${name}.norm`, width),
    ...linear(`${name}.proj_in`, width, width),
    ...times(depth, (i) => {
      const block = `${name}.transformer_blocks.${i}`;
      const attention = [
        ['attn1', width],
        ['attn2', CONTEXT],
      ];
      return [
        ...attention.flatMap(([kind, context]) => [
          weight(`${block}.${kind}.to_q.weight`, width, width),
          weight(`${block}.${kind}.to_k.weight`, width, Number(context)),
          weight(`${block}.${kind}.to_v.weight`, width, Number(context)),
          ...linear(`${block}.${kind}.to_out.0`, width, width),
        ]),
        ...linear(`${block}.ff.net.0.proj`, width, 8 * width),
        ...linear(`${block}.ff.net.2`, 4 * width, width),
        ...[1, 2, 3].flatMap((n) => norm(`${block}.norm${n}`, width)),
      ];
    }),
    ...linear(`${name}.proj_out`, width, width),
  ];
}

/** @param {string} prefix of the names: none in a file of its own */
export function vae(prefix) {
  const widths = [128, 256, 512, 512];

  /** @param {string} name @param {number} from @param {number} to */
  const residual = (name, from, to) => [
    ...norm(`${name}.norm1`, from),
    ...conv(`${name}.conv1`, from, to, 3),
    ...norm(`${name}.norm2`, to),
    ...conv(`${name}.conv2`, to, to, 3),
    ...(from === to ? [] : conv(`${name}.nin_shortcut`, from, to, 1)),
  ];
  /** @param {string} half */
  const middle = (half) => [
    ...residual(`${half}.mid.block_1`, 512, 512),
    ...norm(`${half}.mid.attn_1.norm`, 512),
    ...['q', 'k', 'v', 'proj_out'].flatMap((part) => conv(`${half}.mid.attn_1.${part}`, 512, 512, 1)),
    ...residual(`${half}.mid.block_2`, 512, 512),
  ];

  const [encoder, decoder] = [`${prefix}encoder`, `${prefix}decoder`];
  let width = 128;
  const down = times(4, (level) => [
    ...times(2, (i) => {
      const layers = residual(`${encoder}.down.${level}.block.${i}`, width, widths[level]);
      width = widths[level];
      return layers;
    }),
    ...(level < 3 ? conv(`${encoder}.down.${level}.downsample.conv`, width, width, 3) : []),
  ]);
  width = 512;
  const up = [3, 2, 1, 0].flatMap((level) => [
    ...times(3, (i) => {
      const layers = residual(`${decoder}.up.${level}.block.${i}`, width, widths[level]);
      width = widths[level];
      return layers;
    }),
    ...(level > 0 ? conv(`${decoder}.up.${level}.upsample.conv`, width, width, 3) : []),
  ]);

  return [
    ...conv(`${encoder}.conv_in`, 3, 128, 3),
    ...down,
    ...middle(encoder),
    ...norm(`${encoder}.norm_out`, 512),
    ...conv(`${encoder}.conv_out`, 512, 8, 3),
    ...conv(`${decoder}.conv_in`, 4, 512, 3),
    ...middle(decoder),
    ...up,
    ...norm(`${decoder}.norm_out`, 128),
    ...conv(`${decoder}.conv_out`, 128, 3, 3),
    ...conv(`${prefix}quant_conv`, 8, 8, 1),
    ...conv(`${prefix}post_quant_conv`, 4, 4, 1),
  ];
}
