import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { weightSizes } from './weight.sizes';

const NATIVE = { text: 'native', image: 'native' } as const;

describe(weightSizes.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sizes-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A file with tensors of these many bytes. */
  async function file(name: string, sizes: Record<string, [dtype: string, bytes: number]>): Promise<string> {
    let end = 0;
    const header = Object.entries(sizes).map(([tensor, [dtype, bytes]]) => [
      tensor,
      { dtype, shape: [bytes], data_offsets: [end, (end += bytes)] },
    ]);
    const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const path = join(folder, name);
    await writeFile(path, Buffer.concat([length, json, Buffer.alloc(end)]));
    return path;
  }
  const checkpoint = () =>
    file('model.safetensors', {
      'conditioner.embedders.0.weight': ['F16', 100],
      'conditioner.embedders.1.weight': ['F8_E4M3', 10],
      'model.diffusion_model.weight': ['F16', 1_000],
      'first_stage_model.weight': ['F16', 50],
    });

  it("should tell the text encoders', the image encoder's and the other weights, FP8 twice", async () => {
    const files = {
      name: 'x',
      checkpoint: await checkpoint(),
      ipAdapter: await file('adapter.safetensors', { a: ['F16', 7] }),
      clipVision: await file('vision.safetensors', { a: ['F32', 300] }),
      photoMaker: await file('maker.safetensors', { a: ['F16', 11] }),
    };
    expect(await weightSizes(files, NATIVE)).toEqual({ text: 120, image: 300, rest: 1_068 });
  });

  it('should count the VAE that replaces that of the checkpoint in its place', async () => {
    const vae = await file('vae.safetensors', { a: ['F32', 90] });
    const sizes = await weightSizes({ name: 'x', checkpoint: await checkpoint(), vae }, NATIVE);
    expect(sizes).toEqual({ text: 120, image: 0, rest: 1_045 });
  });

  it('should count weights that the engine converts as what they become', async () => {
    const clipVision = await file('half.safetensors', { a: ['F32', 320] });
    const files = { name: 'x', checkpoint: await checkpoint(), clipVision };
    expect(await weightSizes(files, { text: 'q8_0', image: 'f16' })).toMatchObject({
      text: 63.75,
      image: 160,
    });
  });

  it('should count what embeddings ask for: tables of words in 32 bit, and a copy of the larger one', async () => {
    const model = await file('words.safetensors', {
      'conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight': ['F16', 60],
      'conditioner.embedders.1.model.token_embedding.weight': ['F16', 100],
      'conditioner.embedders.1.model.ln_final.weight': ['F16', 8],
    });
    const embeddings = [{ name: 'x', path: '', vectors: 1, sha256: '', stamp: '' }];
    const files = { name: 'x', checkpoint: model };
    expect(await weightSizes(files, NATIVE)).toMatchObject({ text: 168 });
    expect(await weightSizes({ ...files, embeddings: [] }, NATIVE)).toMatchObject({ text: 168 });
    expect(await weightSizes({ ...files, embeddings }, NATIVE)).toMatchObject({ text: 120 + 200 + 200 + 8 });
  });

  it('should count the largest ControlNet, which may come at any time', async () => {
    const files = { name: 'x', checkpoint: await checkpoint() };
    const controlNets = [7, 900, 8].map((bytes) => ({ name: 'x', path: '', bytes, stamp: '' }));
    expect(await weightSizes({ ...files, controlNets }, NATIVE)).toMatchObject({ rest: 1_050 + 900 });
  });

  it('should not guess at files of another format', async () => {
    expect(await weightSizes({ name: 'x', checkpoint: join(folder, 'model.gguf') }, NATIVE)).toBeUndefined();
  });
});
