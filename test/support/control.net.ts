import { open, readFile } from 'node:fs/promises';

/** Names and shapes. */
type Shapes = Record<string, readonly number[]>;

const CONTEXT = 2048;
const LABEL = 2816;
const CHANNELS = [320, 640, 1280];
const DEPTHS = [0, 2, 10];
const TIME = 1280;

const linear = (name: string, from: number, to: number): Shapes => ({
  [`${name}.weight`]: [to, from],
  [`${name}.bias`]: [to],
});
const conv = (name: string, from: number, to: number, side: number): Shapes => ({
  [`${name}.weight`]: [to, from, side, side],
  [`${name}.bias`]: [to],
});
const norm = (name: string, width: number): Shapes => ({
  [`${name}.weight`]: [width],
  [`${name}.bias`]: [width],
});
const all = (count: number, shapes: (i: number) => Shapes): Shapes =>
  Object.assign({}, ...Array.from({ length: count }, (_, i) => shapes(i))) as Shapes;

const resnet = (name: string, from: number, to: number): Shapes => ({
  ...norm(`${name}.norm1`, from),
  ...conv(`${name}.conv1`, from, to, 3),
  ...linear(`${name}.time_emb_proj`, TIME, to),
  ...norm(`${name}.norm2`, to),
  ...conv(`${name}.conv2`, to, to, 3),
  ...(from === to ? {} : conv(`${name}.conv_shortcut`, from, to, 1)),
});

const attention = (name: string, width: number, context: number): Shapes => ({
  [`${name}.to_q.weight`]: [width, width],
  [`${name}.to_k.weight`]: [width, context],
  [`${name}.to_v.weight`]: [width, context],
  ...linear(`${name}.to_out.0`, width, width),
});

const transformer = (name: string, width: number, depth: number): Shapes => ({
  ...norm(`${name}.norm`, width),
  ...linear(`${name}.proj_in`, width, width),
  ...all(depth, (i) => {
    const block = `${name}.transformer_blocks.${i}`;
    return {
      ...attention(`${block}.attn1`, width, width),
      ...attention(`${block}.attn2`, width, CONTEXT),
      ...linear(`${block}.ff.net.0.proj`, width, 8 * width),
      ...linear(`${block}.ff.net.2`, 4 * width, width),
      ...norm(`${block}.norm1`, width),
      ...norm(`${block}.norm2`, width),
      ...norm(`${block}.norm3`, width),
    };
  }),
  ...linear(`${name}.proj_out`, width, width),
});

/** A ControlNet for SDXL as diffusers saves it. */
export const controlNetShapes: Shapes = {
  ...conv('conv_in', 4, 320, 3),
  ...linear('time_embedding.linear_1', 320, TIME),
  ...linear('time_embedding.linear_2', TIME, TIME),
  ...linear('add_embedding.linear_1', LABEL, TIME),
  ...linear('add_embedding.linear_2', TIME, TIME),
  ...conv('controlnet_cond_embedding.conv_in', 3, 16, 3),
  ...all(6, (i) => {
    const widths = [16, 16, 32, 32, 96, 96, 256];
    return conv(`controlnet_cond_embedding.blocks.${i}`, widths[i], widths[i + 1], 3);
  }),
  ...conv('controlnet_cond_embedding.conv_out', 256, 320, 3),
  ...all(3, (i) => {
    const [from, width] = [CHANNELS[Math.max(0, i - 1)], CHANNELS[i]];
    const block = `down_blocks.${i}`;
    return {
      ...all(2, (j) => ({
        ...resnet(`${block}.resnets.${j}`, j === 0 ? from : width, width),
        ...(DEPTHS[i] > 0 ? transformer(`${block}.attentions.${j}`, width, DEPTHS[i]) : {}),
      })),
      ...(i < 2 ? conv(`${block}.downsamplers.0.conv`, width, width, 3) : {}),
    };
  }),
  ...resnet('mid_block.resnets.0', 1280, 1280),
  ...transformer('mid_block.attentions.0', 1280, 10),
  ...resnet('mid_block.resnets.1', 1280, 1280),
  ...all(9, (i) => conv(`controlnet_down_blocks.${i}`, widthOf(i), widthOf(i), 1)),
  ...conv('controlnet_mid_block', 1280, 1280, 1),
};

/** Of the first block, and then of two blocks and a smaller one for each width. */
function widthOf(block: number): number {
  return [320, 320, 320, 320, 640, 640, 640, 1280, 1280][block];
}

export const writeControlNet = (path: string, seed: number) => writeShared(path, controlNetShapes, seed);

/**
 * The demo checkpoint with a UNet of random numbers that is as wide as SDXL's, and as shallow as its own: the smallest that a
 * ControlNet fits.
 */
export async function writeWideModel(path: string, demo: string): Promise<void> {
  const file = await readFile(demo);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, start).toString()) as Record<string, { shape: number[] }>;
  const unet = Object.entries(header).filter(([name]) => name.startsWith(UNET));
  const wide = unet.map(
    ([name, { shape }]) => [name, shape.map((side, i) => widened(name, side, i))] as const,
  );
  const rest = Object.fromEntries(Object.entries(header).filter(([name]) => !name.startsWith(UNET)));
  await writeShared(path, Object.fromEntries(wide), 1, { header: rest, data: file.subarray(start) });
}

const UNET = 'model.diffusion_model.';

function widened(name: string, side: number, at: number): number {
  const context = side === CONTEXT && at === 1 && /attn2\.to_[kv]\.weight$/.test(name);
  return side < 64 || side === LABEL || context ? side : side * 5;
}

/** Tensors of one width share bytes: a file of gigabytes takes some megabytes. */
async function writeShared(
  path: string,
  shapes: Shapes,
  seed: number,
  before: { header: object; data: Buffer } = { header: {}, data: Buffer.alloc(0) },
): Promise<void> {
  const sizes = Object.values(shapes).map((shape) => shape.reduce((product, side) => product * side, 1));
  const longest = Math.max(...Object.values(shapes).map((shape) => (shape.length === 1 ? shape[0] : 0)));
  const offset = before.data.length;
  const [zeros, ones, noise] = [offset, offset + 2 * longest, offset + 4 * longest];
  const header: Record<string, unknown> = { ...before.header };
  for (const [name, shape] of Object.entries(shapes)) {
    const count = shape.reduce((product, side) => product * side, 1);
    const from = shape.length > 1 ? noise : name.endsWith('weight') ? ones : zeros;
    header[name] = { dtype: 'F16', shape, data_offsets: [from, from + 2 * count] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const table = noiseTable(seed);
  const out = await open(path, 'w');
  try {
    for (const part of [length, json, before.data, Buffer.alloc(2 * longest), halves(longest, () => 0x3c00)])
      await out.write(part);
    for (let left = 2 * Math.max(...sizes); left > 0; left -= table.length)
      await out.write(table.subarray(0, left));
  } finally {
    await out.close();
  }
}

const halves = (count: number, value: () => number) =>
  Buffer.from(Uint16Array.from({ length: count }, value).buffer);

/** Halves of either sign from 1/64 to 1/32: sums of a thousand products stay near 1. The length is odd, or rows repeat. */
function noiseTable(seed: number): Buffer {
  let state = seed;
  return halves(1_048_573, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return ((state >>> 31) << 15) | (9 << 10) | ((state >>> 16) & 0x3ff);
  });
}
