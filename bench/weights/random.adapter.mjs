/**
 * IP-Adapter SDXL ViT-H, its image encoder and a LoRA with random weights: names, shapes and number formats of the
 * files in h94/IP-Adapter, and of a LoRA as kohya's scripts train it.
 */
import { randomFile } from './random.file.mjs';
import { conv, linear, norm, table, times, weight } from './random.layers.mjs';
import { CONTEXT, UNET, unet, vae } from './random.sdxl.mjs';

/** @typedef {import('./random.file.mjs').Tensor} Tensor */

const SDXL_CHANNELS = 320;
/** What the encoder makes of a picture, and how many words the adapter makes of that. */
const EMBEDDING = 1024;
const TOKENS = 4;

/** sdxl_vae.safetensors of madebyollin/sdxl-vae-fp16-fix: single precision, names without a prefix. */
export const randomVae = (/** @type {number} */ seed) => randomFile(vae(''), { seed, dtype: 'F32' });

/** sdxl_models/ip-adapter_sdxl_vit-h.safetensors */
export function randomAdapter(/** @type {number} */ seed, channels = SDXL_CHANNELS) {
  const attentions = unet(channels).filter(({ name }) => name.endsWith('.attn2.to_q.weight'));
  // They are counted as diffusers counts its UNet's attentions, the self-attentions between them included.
  const ordered = ['input_blocks', 'output_blocks', 'middle_block'].flatMap((part) =>
    attentions.filter(({ name }) => name.startsWith(`${UNET}.${part}`)),
  );
  const tensors = [
    ...linear('image_proj.proj', EMBEDDING, TOKENS * CONTEXT),
    ...norm('image_proj.norm', CONTEXT),
    ...ordered.flatMap(({ shape: [width] }, i) => [
      weight(`ip_adapter.${2 * i + 1}.to_k_ip.weight`, width, CONTEXT),
      weight(`ip_adapter.${2 * i + 1}.to_v_ip.weight`, width, CONTEXT),
    ]),
  ];
  return randomFile(tensors, { seed });
}

/** models/image_encoder/model.safetensors: OpenCLIP's ViT-H/14 as transformers saves it, in single precision. */
export function randomImageEncoder(/** @type {number} */ seed) {
  const [width, patches] = [1280, (224 / 14) ** 2];
  const model = 'vision_model';
  const positions = Buffer.from(BigInt64Array.from({ length: patches + 1 }, (_, i) => BigInt(i)).buffer);
  const tensors = [
    table(`${model}.embeddings.class_embedding`, [width], 0.5),
    conv(`${model}.embeddings.patch_embedding`, 3, width, 14)[0],
    {
      name: `${model}.embeddings.position_ids`,
      shape: [1, patches + 1],
      dtype: 'I64',
      fill: { bytes: positions },
    },
    table(`${model}.embeddings.position_embedding.weight`, [patches + 1, width], 0.1),
    ...norm(`${model}.pre_layrnorm`, width),
    ...times(32, (i) => {
      const layer = `${model}.encoder.layers.${i}`;
      const heads = ['q_proj', 'k_proj', 'v_proj', 'out_proj'];
      return [
        ...heads.flatMap((name) => linear(`${layer}.self_attn.${name}`, width, width)),
        ...norm(`${layer}.layer_norm1`, width),
        ...norm(`${layer}.layer_norm2`, width),
        ...linear(`${layer}.mlp.fc1`, width, 4 * width),
        ...linear(`${layer}.mlp.fc2`, 4 * width, width),
      ];
    }),
    ...norm(`${model}.post_layernorm`, width),
    weight('visual_projection.weight', EMBEDDING, width),
  ];
  return randomFile(tensors, { seed, dtype: 'F32' });
}

/** A LoRA over every attention and feed-forward layer of SDXL's UNet, and the layers around them: 722. */
export function randomLora(/** @type {number} */ seed, /** @type {number} */ rank, channels = SDXL_CHANNELS) {
  const layers = unet(channels).filter(({ name }) =>
    /\.(to_[qkv]|to_out\.0|net\.0\.proj|net\.2|proj_in|proj_out)\.weight$/.test(name),
  );
  const tensors = layers.flatMap(({ name, shape: [to, from] }) => {
    const layer = name.slice(UNET.length + 1, -'.weight'.length).replaceAll('.', '_');
    return [
      weight(`lora_unet_${layer}.lora_down.weight`, rank, from),
      // A tenth of what the layer itself gives: enough to be seen, too little to drown it.
      table(`lora_unet_${layer}.lora_up.weight`, [to, rank], 0.1 / Math.sqrt(rank)),
      { name: `lora_unet_${layer}.alpha`, shape: [], fill: { bytes: half(rank) } },
    ];
  });
  return { file: randomFile(tensors, { seed }), tensors: tensors.length, layers: layers.length };
}

/** A power of two as a half: F16 holds it exactly. @param {number} value */
function half(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE((15 + Math.log2(value)) << 10);
  return bytes;
}
