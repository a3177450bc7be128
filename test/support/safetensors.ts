import { writeFile } from 'node:fs/promises';

/** A tensor of F32 numbers; without `values` they are zero. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly values?: readonly number[];
}

/** Writes a small safetensors file. */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
): Promise<void> {
  await writeFile(path, safetensors(tensors));
}

export function safetensors(tensors: Readonly<Record<string, Tensor>>): Buffer {
  let end = 0;
  const chunks: Buffer[] = [];
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const count = shape.reduce((product, side) => product * side, 1);
    const data = Buffer.alloc(count * 4);
    values?.forEach((value, i) => data.writeFloatLE(value, i * 4));
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + data.length] };
    end += data.length;
    chunks.push(data);
  }
  return withHeader(header, Buffer.concat(chunks));
}

/** For files that a writer would not make: any header over any bytes. */
export function withHeader(header: unknown, data: Buffer): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, data]);
}

/** The two matrices and the scale of one LoRA layer in kohya's names. */
export function loraLayer(layer: string, inputs: number, outputs: number, rank = 2): Record<string, Tensor> {
  const values = (count: number) => Array.from({ length: count }, (_, i) => ((i % 7) - 3) / 100);
  return {
    [`lora_unet_${layer}.lora_down.weight`]: { shape: [rank, inputs], values: values(rank * inputs) },
    [`lora_unet_${layer}.lora_up.weight`]: { shape: [outputs, rank], values: values(outputs * rank) },
    [`lora_unet_${layer}.alpha`]: { shape: [], values: [rank] },
  };
}

/** A layer that the demo's UNet has, in its shape, and one that only a full SDXL has, in SDXL's. */
export const DEMO_LAYER = loraLayer('output_blocks_5_0_emb_layers_1', 256, 128);
export const SDXL_LAYER = loraLayer('middle_block_1_transformer_blocks_9_attn2_to_v', 2048, 1280);

/** A LoRA of which the demo takes nothing: full SDXL's layers and widths. */
export const loraForAnotherModel = (path: string) =>
  writeSafetensors(path, {
    ...SDXL_LAYER,
    ...loraLayer('middle_block_1_transformer_blocks_9_attn1_to_q', 1280, 1280),
  });

/** A LoRA of which the demo takes one layer of two: 3 of 6 tensors. */
export const partlyMatchingLora = (path: string) => writeSafetensors(path, { ...DEMO_LAYER, ...SDXL_LAYER });

/** The tensors of `file` whose names begin with `prefix`, without it. */
export function partOf(file: Buffer, prefix: string): Buffer {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const all = JSON.parse(file.subarray(8, start).toString()) as Record<string, { data_offsets: number[] }>;
  const chunks: Buffer[] = [];
  const header: Record<string, object> = {};
  let end = 0;
  for (const [name, tensor] of Object.entries(all)) {
    if (!name.startsWith(prefix)) continue;
    const [from, to] = tensor.data_offsets;
    chunks.push(file.subarray(start + from, start + to));
    header[name.slice(prefix.length)] = { ...tensor, data_offsets: [end, (end += to - from)] };
  }
  return withHeader(header, Buffer.concat(chunks));
}

/** A textual inversion for SDXL: vectors for both text encoders, of some size or the demo's encoders do not see them. */
export function embedding(vectors: number): Record<'clip_l' | 'clip_g', Tensor> {
  const rows = (width: number) => ({
    shape: [vectors, width],
    values: Array.from({ length: vectors * width }, (_, i) => (((i * 7919) % 23) - 11) / 6),
  });
  return { clip_l: rows(768), clip_g: rows(1280) };
}
