import type { SafetensorsHeader } from './safetensors';

/** What the file of a LoRA says of it. */
export interface LoraAbout {
  /** Which model it was trained for; undefined: the file does not say. */
  readonly baseModel?: string;
  readonly title?: string;
  /** Words that call what it learned. */
  readonly triggerWords: readonly string[];
}

export const OWN_BASE = 'SDXL';

/**
 * Inputs of the cross-attention's keys and values: the width of the text encoders, and so of the family. As a matrix "down"
 * (kohya, diffusers) or "A" (PEFT) has it in its second side.
 */
const KEYS = /attn2[._]to_[kv][._].*\b(?:lora[._](?:down|A)|down)\b/;
const WIDTHS: Readonly<Record<number, string>> = {
  768: 'Stable Diffusion 1',
  1024: 'Stable Diffusion 2',
  2048: OWN_BASE,
};
/** Blocks that only these have. */
const BLOCKS: readonly (readonly [name: RegExp, base: string])[] = [
  [/double_blocks|single_transformer_blocks/, 'Flux'],
  [/joint_blocks/, 'Stable Diffusion 3'],
];
/** ModelSpec's architecture, or the version in kohya's words. */
const WORDS: readonly (readonly [text: RegExp, base: string])[] = [
  [/xl/i, OWN_BASE],
  [/flux/i, 'Flux'],
  [/diffusion-v?3|sd_?3/i, 'Stable Diffusion 3'],
  [/diffusion-v?2|sd_?v?2/i, 'Stable Diffusion 2'],
  [/diffusion-v?1|sd_?v?1/i, 'Stable Diffusion 1'],
];
const MOST_WORDS = 20;
const LONGEST = 100;

/** By its tensors first: what trainers write besides is often that of another file. */
export function aboutLora({ tensors, metadata }: Pick<SafetensorsHeader, 'tensors' | 'metadata'>): LoraAbout {
  const title = text(metadata['modelspec.title']);
  return {
    baseModel: baseByTensors(tensors) ?? baseByWords(metadata),
    ...(title && { title }),
    triggerWords: triggerWords(metadata),
  };
}

function baseByTensors(tensors: SafetensorsHeader['tensors']): string | undefined {
  for (const [name, { shape }] of tensors) {
    const block = BLOCKS.find(([pattern]) => pattern.test(name));
    if (block) return block[1];
    if (KEYS.test(name) && shape[1] in WIDTHS) return WIDTHS[shape[1]];
  }
  return undefined;
}

function baseByWords(metadata: SafetensorsHeader['metadata']): string | undefined {
  const said = text(metadata['modelspec.architecture']) ?? text(metadata.ss_base_model_version);
  return said && WORDS.find(([pattern]) => pattern.test(said))?.[1];
}

/** ModelSpec's trigger phrase; else what kohya's trainer had for names of folders: `10_ohwx man` is seen ten times an epoch. */
function triggerWords(metadata: SafetensorsHeader['metadata']): string[] {
  const phrase: unknown = metadata['modelspec.trigger_phrase'];
  const words = text(phrase) ? String(phrase).split(',') : folders(metadata.ss_tag_frequency);
  return [...new Set(words.map((word) => text(word)).filter((word) => word !== undefined))].slice(
    0,
    MOST_WORDS,
  );
}

function folders(frequency: unknown): string[] {
  try {
    const names = Object.keys(JSON.parse(String(frequency)) as object);
    return names.flatMap((name) => /^\d+_(.+)$/.exec(name)?.[1] ?? []);
  } catch {
    return []; // not kohya's
  }
}

/** A line that is worth showing. */
function text(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const line = value.replace(/\p{Cc}+/gu, ' ').trim();
  return line.slice(0, LONGEST) || undefined;
}
