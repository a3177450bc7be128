import type { PictureOptions } from './images.dto';
import { withPreset } from './presets';

describe(withPreset.name, () => {
  const resolve = (options: PictureOptions, ...names: string[]) =>
    withPreset(options, () => Promise.resolve(names.map((name) => ({ name }))));

  const STYLES = ['grain', 'hyperrealism_v2', 'hyperdetailed', 'Hyper_real_sdxl', 'lightning_bolts'];

  it.each([
    ['dmd2_sdxl_4step_lora', { sampler: 'lcm', num_inference_steps: 4, guidance_scale: 1 }],
    ['sdxl_lightning_8step_lora', { sampler: 'euler', scheduler: 'sgm_uniform', num_inference_steps: 8 }],
    ['Hyper-SDXL-12steps-lora', { sampler: 'ddim_trailing', num_inference_steps: 12, guidance_scale: 1 }],
    ['Hyper-SD15-8steps-lora', { sampler: 'ddim_trailing', num_inference_steps: 8 }],
    ['my_lightning_8-steps', { sampler: 'euler', num_inference_steps: 8 }],
    ['lcm-lora-sdxl', { sampler: 'lcm', num_inference_steps: 6, guidance_scale: 1.5 }],
  ])('should be fast with %s, in the steps that it was made for', async (name, options) =>
    expect(await resolve({ preset: 'fast' }, ...STYLES, name)).toMatchObject({
      ...options,
      loras: [{ name }],
    }),
  );

  it('should leave what the request says, and its LoRAs beside that of the preset', async () => {
    const loras = [{ name: 'grain', scale: 0.5 }];
    const options = { preset: 'fast', num_inference_steps: 5, sampler: undefined, loras } as const;
    expect(await resolve({ ...options, loras: [...loras] }, 'lcm', 'grain')).toMatchObject({
      ...{ num_inference_steps: 5, sampler: 'lcm' },
      loras: [...loras, { name: 'lcm' }],
    });
    const own = [{ name: 'lcm', scale: 0.8 }];
    expect((await resolve({ preset: 'fast', loras: own }, 'lcm')).loras).toEqual(own);
  });

  it('should not be fast without a LoRA for few steps', () =>
    expect(resolve({ preset: 'fast' }, ...STYLES)).rejects.toMatchObject({
      ...{ code: 'lora_not_found', param: 'preset' },
    }));

  it('should be balanced with a cache, unless the request names one, and else as ever', async () => {
    expect(await resolve({ preset: 'balanced' })).toMatchObject({ cache: 'spectrum' });
    expect(await resolve({ preset: 'balanced', cache: 'ucache' })).toMatchObject({ cache: 'ucache' });
    for (const options of [{ preset: 'quality', seed: 1 }, { seed: 1 }] as const)
      expect(await resolve(options)).toEqual(options);
  });
});
