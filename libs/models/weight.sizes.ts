import { partsOf } from './model.plan';
import type { ModelFiles } from './models.service';
import { readSafetensors, type TensorInfo } from './safetensors';

/** Bytes that a model's weights take in the engine, by the part that they belong to. */
export interface WeightSizes {
  readonly text: number;
  readonly image: number;
  /** UNet, VAE, IP-Adapter and PhotoMaker, and the largest ControlNet. */
  readonly rest: number;
}

/** Of the original layout of SDXL's checkpoints. */
const TEXT = /^(conditioner\.|cond_stage_model\.)/;
const VAE = /^first_stage_model\./;
/** The vectors of all words, one table for each text encoder. */
const WORDS = /token_embedding\.weight$/;
/** Bytes of a number. */
const WIDTHS: Readonly<Record<string, number>> = { F64: 8, I64: 8, F32: 4, I32: 4, F8_E4M3: 1, F8_E5M2: 1 };
/** The engine keeps them as F16. */
const FP8 = /^F8_/;

/** As which the engine keeps weights. */
type WeightType = 'native' | 'f16' | 'q8_0';

/** From the files' headers; undefined where one of them is no safetensors file: its sizes are known to the engine only. */
export async function weightSizes(
  files: ModelFiles,
  types: { readonly text: WeightType; readonly image: WeightType },
): Promise<WeightSizes | undefined> {
  if (!partsOf(files).every((file) => file.endsWith('.safetensors'))) return undefined;
  const { checkpoint, vae, ipAdapter, clipVision, photoMaker, embeddings = [], controlNets = [] } = files;
  const whole = async (file: string | undefined) => (file ? tensors(file) : []);
  const model = await tensors(checkpoint);
  const text = model.filter(([name]) => TEXT.test(name));
  const ownVae = model.filter(([name]) => VAE.test(name));
  const unet = model.filter(([name]) => !TEXT.test(name) && !VAE.test(name));
  return {
    text: bytes(text, types.text) + (embeddings.length > 0 ? moreFor(text, types.text) : 0),
    image: bytes(await whole(clipVision), types.image),
    // The engine computes the VAE in F16 whatever its file holds.
    rest:
      bytes(unet) +
      bytes(vae ? await tensors(vae) : ownVae, 'f16') +
      bytes(await whole(ipAdapter)) +
      bytes(await whole(photoMaker)) +
      // One at a time is on the device, and stays.
      Math.max(0, ...controlNets.map((net) => net.bytes)),
  };
}

/** With embeddings the tables of words are kept as F32, and one at a time is copied to have them appended. */
function moreFor(text: Tensors, type: WeightType): number {
  const tables = text.filter(([name]) => WORDS.test(name));
  const wide = tables.map(([, tensor]) => numbersOf(tensor) * 4);
  return wide.reduce((sum, size) => sum + size, 0) - bytes(tables, type) + Math.max(0, ...wide);
}

type Tensors = readonly (readonly [name: string, TensorInfo])[];

const tensors = async (file: string): Promise<Tensors> => [...(await readSafetensors(file)).tensors];

const bytes = (all: Tensors, type: WeightType = 'native') =>
  all.reduce((sum, [, tensor]) => sum + bytesOf(tensor, type), 0);

const numbersOf = ({ dtype, data_offsets: [from, to] }: TensorInfo) => (to - from) / (WIDTHS[dtype] ?? 2);

function bytesOf(tensor: TensorInfo, type: WeightType): number {
  const {
    dtype,
    data_offsets: [from, to],
  } = tensor;
  const stored = to - from;
  const numbers = numbersOf(tensor);
  if (type === 'q8_0') return (numbers * 34) / 32; // blocks of 32 with a scale of 16 bit
  return type === 'f16' || FP8.test(dtype) ? numbers * 2 : stored;
}
