import { chooseCheckpoint } from './checkpoint.choice';

describe(chooseCheckpoint.name, () => {
  it.each([
    ['the only file', ['any.safetensors'], 'any.safetensors'],
    [
      'SDXL base beside its variants',
      [
        'sd_xl_base_1.0.safetensors',
        'sd_xl_base_1.0_0.9vae.safetensors',
        'sd_xl_offset_example-lora_1.0.safetensors',
      ],
      'sd_xl_base_1.0.safetensors',
    ],
    [
      'SDXL base among others',
      ['a.safetensors', 'b.safetensors', 'sd_xl_base_1.0.safetensors'],
      'sd_xl_base_1.0.safetensors',
    ],
    [
      'a model beside its LoRA and VAE',
      ['m.safetensors', 'm-lora.safetensors', 'sdxl_vae.safetensors'],
      'm.safetensors',
    ],
    ['the fp16 copy', ['m.safetensors', 'm_fp16.safetensors'], 'm_fp16.safetensors'],
    ['nothing of two models', ['a.safetensors', 'b.safetensors'], undefined],
    ['nothing of two fp16 models', ['a_fp16.safetensors', 'b_fp16.safetensors', 'c.safetensors'], undefined],
    ['nothing of nothing', [], undefined],
  ])('should take %s', (_what, files, choice) => {
    expect(chooseCheckpoint(files)).toBe(choice);
  });
});
