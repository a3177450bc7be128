import { ModelError } from './model.error';
import { readSafetensors, type TensorInfo } from './safetensors';

/** Numbers that CLIP ViT-H tells of a picture: as a whole, to the plain adapter, and of each of its parts, to Plus. */
const [WHOLE, PART] = [1024, 1280];
/** Width of the texts of other models. */
const OTHER_MODELS: Readonly<Record<number, string>> = {
  ...{ 768: 'Stable Diffusion 1.5', 1024: 'Stable Diffusion 2', 4096: 'Flux or Stable Diffusion 3' },
};
/** Of each layer of Plus; the engine draws with whatever is in memory where one is not there. */
const LAYER = ['0.norm1', '0.norm2', '1.0'].flatMap((norm) => [`${norm}.weight`, `${norm}.bias`]);
LAYER.push(...['0.to_q', '0.to_kv', '0.to_out', '1.1', '1.3'].map((matrix) => `${matrix}.weight`));
const AROUND = ['proj_in', 'proj_out', 'norm_out'].flatMap((part) => [`${part}.weight`, `${part}.bias`]);
const LAYERS = 4;

/**
 * IP-Adapter, Plus or Plus-Face for SDXL and ViT-H. Of what else goes by the name the engine loads some, and ends with the
 * first picture. Throws ModelError.
 */
export async function expectIpAdapter(path: string): Promise<string> {
  if (!/\.safetensors$/i.test(path)) return path; // the engine tells
  const problem = problemOf((await readSafetensors(path)).tensors);
  if (problem === undefined) return path;
  throw new ModelError(
    `IP_ADAPTER_PATH ${problem}. For SDXL set ip-adapter_sdxl_vit-h, ip-adapter-plus_sdxl_vit-h or ` +
      'ip-adapter-plus-face_sdxl_vit-h of h94/IP-Adapter.',
  );
}

function problemOf(tensors: ReadonlyMap<string, TensorInfo>): string | undefined {
  const of = (name: string) => tensors.get(`image_proj.${name}`);
  const inputs = (name: string) => of(name)?.shape.at(-1);
  const names = [...tensors.keys()];
  const isFace = inputs('proj.0.weight') === 512;
  if (isFace || names.some((name) => name.startsWith('image_proj.perceiver_resampler.')))
    return 'is an IP-Adapter FaceID, which needs faces as InsightFace sees them: the engine has none';
  if (of('proj.0.weight')) return 'is an IP-Adapter Full-Face, which the engine does not have';
  const keys = names.find((name) => /^ip_adapter\..*to_k_ip\.weight$/.test(name));
  const isPlus = of('latents') !== undefined;
  const seen = inputs(isPlus ? 'proj_in.weight' : 'proj.weight');
  if (keys === undefined || seen === undefined)
    return 'is no IP-Adapter: it has no image_proj.proj or image_proj.latents, or no ip_adapter layers';
  const text = tensors.get(keys)!.shape.at(-1)!;
  if (text in OTHER_MODELS) return `is for ${OTHER_MODELS[text]}`;
  if (seen !== (isPlus ? PART : WHOLE))
    return `is for another image encoder than ViT-H: it reads ${seen} numbers of a picture, not ${isPlus ? PART : WHOLE}`;
  if (!isPlus) return undefined;
  const layers = Array.from({ length: LAYERS }, (_, i) => LAYER.map((name) => `layers.${i}.${name}`));
  const lacking = [...AROUND, ...layers.flat()].find((name) => !of(name));
  return lacking && `lacks image_proj.${lacking}: the file is not whole`;
}
