import { aboutLora } from './lora.about';
import type { TensorInfo } from './safetensors';

const tensors = (name: string, shape: number[] = [4, 4]) =>
  new Map<string, TensorInfo>([[name, { dtype: 'F16', shape, data_offsets: [0, 0] }]]);
const about = (metadata: Record<string, string>, of = tensors('lora_unet_out.lora_down.weight')) =>
  aboutLora({ metadata, tensors: of });

describe(aboutLora.name, () => {
  it.each([
    ['lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight', [16, 2048], 'SDXL'],
    ['unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v.lora_A.weight', [16, 2048], 'SDXL'],
    [
      'unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora.down.weight',
      [4, 768],
      'Stable Diffusion 1',
    ],
    [
      'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_v.lora_down.weight',
      [8, 1024],
      'Stable Diffusion 2',
    ],
    ['lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight', [16, 3072], 'Flux'],
    ['transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight', [16, 3072], 'Flux'],
    ['lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight', [16, 1536], 'Stable Diffusion 3'],
    // Self-attention is as wide as the UNet, the out of a matrix says nothing either.
    ['lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.lora_down.weight', [16, 1024], undefined],
    ['lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight', [768, 768], undefined],
    ['lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight', [16, 128], undefined],
  ])('should know the model by %s %j: %s', (name, shape, base) => {
    expect(about({}, tensors(name, shape)).baseModel).toBe(base);
  });

  it.each([
    [{ 'modelspec.architecture': 'stable-diffusion-xl-v1-base/lora' }, 'SDXL'],
    [{ 'modelspec.architecture': 'stable-diffusion-v1/lora' }, 'Stable Diffusion 1'],
    [{ 'modelspec.architecture': 'flux-1-dev/lora' }, 'Flux'],
    [{ ss_base_model_version: 'sdxl_base_v1-0' }, 'SDXL'],
    [{ ss_base_model_version: 'sd_v1' }, 'Stable Diffusion 1'],
    [{ ss_base_model_version: 'sd_v2_768_v' }, 'Stable Diffusion 2'],
    [{ ss_base_model_version: 'sd3_m' }, 'Stable Diffusion 3'],
    [{ 'modelspec.architecture': 'somebody’s own' }, undefined],
    [{}, undefined],
  ])('should know the model by its words: %j', (metadata, base) => {
    expect(about(metadata as Record<string, string>).baseModel).toBe(base);
  });

  it('should believe the tensors more than the words', () => {
    const name = 'lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight';
    const metadata = { ss_base_model_version: 'sd_v1' };
    expect(about(metadata, tensors(name, [16, 2048])).baseModel).toBe('SDXL');
  });

  it('should take the trigger phrase, else the names of the folders', () => {
    const frequency = JSON.stringify({ '10_ohwx man': { 'ohwx man': 30 }, '1_person': {}, images: {} });
    expect(about({ ss_tag_frequency: frequency }).triggerWords).toEqual(['ohwx man', 'person']);
    const phrase = {
      'modelspec.trigger_phrase': 'film grain, film grain,, 35mm\n',
      ss_tag_frequency: frequency,
    };
    expect(about(phrase).triggerWords).toEqual(['film grain', '35mm']);
    expect(about({ ss_tag_frequency: '{"10_' }).triggerWords).toEqual([]);
    expect(about({ ss_tag_frequency: 'null' }).triggerWords).toEqual([]);
  });

  it('should bound what a file says of itself, and take only texts', () => {
    const many = Array.from({ length: 500 }, (_, n) => `word${n}`).join();
    const { title, triggerWords } = about({
      'modelspec.title': `Grain\u0000\n${'x'.repeat(5000)}`,
      'modelspec.trigger_phrase': many,
    });
    expect(triggerWords).toHaveLength(20);
    expect(title).toHaveLength(100);
    expect(title).toMatch(/^Grain xxx/);
    expect(aboutLora({ tensors: tensors('a'), metadata: { 'modelspec.title': 7 } as never })).toEqual({
      baseModel: undefined,
      triggerWords: [],
    });
  });
});
