import { ServiceError } from '@app/errors';
import type { PictureOptions } from './images.dto';

export const PRESETS = ['fast', 'balanced', 'quality'] as const;

/**
 * What LoRAs that make do with few steps were trained for, by what their makers put into the names of their files. "hyper" and
 * "lightning" alone are in those of many others.
 */
const FEW_STEPS: readonly (readonly [name: RegExp, options: Partial<PictureOptions>])[] = [
  [/dmd2/i, { sampler: 'lcm', num_inference_steps: 4, guidance_scale: 1 }],
  [
    /sdxl[ _-]?lightning|lightning.*\d[ _-]?steps?/i,
    { sampler: 'euler', scheduler: 'sgm_uniform', num_inference_steps: 4, guidance_scale: 1 },
  ],
  [
    /hyper[ _-]?sd|hyper.*\d[ _-]?steps?/i,
    { sampler: 'ddim_trailing', num_inference_steps: 8, guidance_scale: 1 },
  ],
  [/lcm/i, { sampler: 'lcm', num_inference_steps: 6, guidance_scale: 1.5 }],
];
/** `8steps`: so many. */
const STEPS = /(\d{1,2})[ _-]?steps?/i;

/** The options with those of their preset, but for what they say themselves. `there`: the LoRAs that can be asked for. */
export async function withPreset<Options extends PictureOptions>(
  options: Options,
  there: () => Promise<readonly { readonly name: string }[]>,
): Promise<Options> {
  switch (options.preset) {
    case 'fast':
      return fast(
        options,
        (await there()).map(({ name }) => name),
      );
    case 'balanced':
      return { ...options, cache: options.cache ?? 'spectrum' };
    case 'quality':
    case undefined:
      return options;
  }
}

/** The options with those that are usual, but for what they say themselves; the usual LoRAs come after theirs. */
export function withUsual<Options extends PictureOptions>(
  options: Options,
  { loras: more = [], ...usual }: Partial<PictureOptions>,
): Options {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const { loras = [] } = options;
  const added = more.filter(({ name }) => loras.every((lora) => lora.name !== name));
  return { ...options, ...usual, ...given, loras: [...loras, ...added] };
}

function fast<Options extends PictureOptions>(options: Options, names: readonly string[]): Options {
  for (const [pattern, usual] of FEW_STEPS) {
    const lora = names.find((name) => pattern.test(name));
    if (lora === undefined) continue;
    const [, steps] = STEPS.exec(lora) ?? [];
    const trained = { ...usual, ...(steps !== undefined && { num_inference_steps: Number(steps) }) };
    return withUsual(options, { ...trained, loras: [{ name: lora }] });
  }
  throw new ServiceError(
    'lora_not_found',
    'The preset "fast" needs a LoRA for few steps (with DMD2, SDXL-Lightning, Hyper-SD or LCM in its name), and there is none',
    'preset',
  );
}
