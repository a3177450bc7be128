import { join } from 'node:path';
import { temporaryFolder } from '../../test/support/demo';
import { RESAMPLER } from '../../test/support/ip.adapter';
import { withHeader } from '../../test/support/safetensors';
import { writeFile } from 'node:fs/promises';
import { expectIpAdapter } from './ip.adapter';

type Shapes = Record<string, readonly number[]>;

/** As they are published for SDXL, of one layer of the UNet's. */
const KEYS: Shapes = {
  'ip_adapter.1.to_k_ip.weight': [640, 2048],
  'ip_adapter.1.to_v_ip.weight': [640, 2048],
};
const plain = (text: number, picture: number): Shapes => ({
  'image_proj.proj.weight': [4 * text, picture],
  'image_proj.proj.bias': [4 * text],
  'image_proj.norm.weight': [text],
  'image_proj.norm.bias': [text],
});

describe(expectIpAdapter.name, () => {
  const folder = temporaryFolder();
  const file = async (name: string, shapes: Shapes) => {
    const header: Record<string, unknown> = {};
    let end = 0;
    for (const [tensor, shape] of Object.entries(shapes)) {
      const size = shape.reduce((product, side) => product * side, 2);
      header[tensor] = { dtype: 'F16', shape, data_offsets: [end, (end += size)] };
    }
    const path = join(folder, name);
    await writeFile(path, withHeader(header, Buffer.alloc(end)));
    return path;
  };

  it.each<[string, Shapes]>([
    ['the plain one', { ...plain(2048, 1024), ...KEYS }],
    ['Plus and Plus-Face', { ...RESAMPLER, ...KEYS }],
  ])('should take %s', async (_what, shapes) => {
    const path = await file('adapter.safetensors', shapes);
    expect(await expectIpAdapter(path)).toBe(path);
  });

  it('should leave other formats to the engine', async () =>
    expect(await expectIpAdapter('/nowhere/adapter.gguf')).toBe('/nowhere/adapter.gguf'));

  const whole = Object.entries(RESAMPLER);
  const lacking = whole.filter(([name]) => name !== 'image_proj.layers.3.0.to_q.weight');
  it.each<[string, Shapes, RegExp]>([
    ['FaceID', { 'image_proj.proj.0.weight': [1024, 512], ...KEYS }, /is an IP-Adapter FaceID, which needs/],
    [
      'FaceID Plus',
      { 'image_proj.perceiver_resampler.latents': [1, 4, 2048], ...KEYS },
      /is an IP-Adapter FaceID/,
    ],
    ['Full-Face', { 'image_proj.proj.0.weight': [1280, 1280], ...KEYS }, /is an IP-Adapter Full-Face/],
    [
      'one for Stable Diffusion 1.5',
      { ...plain(768, 1024), 'ip_adapter.1.to_k_ip.weight': [320, 768] },
      /is for Stable Diffusion 1\.5\. For SDXL set ip-adapter_sdxl_vit-h/,
    ],
    [
      'one for ViT-bigG',
      { ...plain(2048, 1280), ...KEYS },
      /is for another image encoder than ViT-H: it reads 1280 numbers of a picture, not 1024/,
    ],
    [
      'a Plus that is not whole',
      { ...Object.fromEntries(lacking), ...KEYS },
      /lacks image_proj\.layers\.3\.0\.to_q\.weight: the file is not whole/,
    ],
    ['a LoRA', { 'lora.down': [1] }, /is no IP-Adapter: it has no image_proj\.proj/],
    ['its projection alone', RESAMPLER, /is no IP-Adapter: .* or no ip_adapter layers/],
  ])('should refuse %s by its name', async (_what, shapes, message) =>
    expect(expectIpAdapter(await file('other.safetensors', shapes))).rejects.toThrow(message),
  );
});
