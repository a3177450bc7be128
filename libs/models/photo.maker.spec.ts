import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeSafetensors } from '../../test/support/safetensors';
import { expectPhotoMaker } from './photo.maker';

const OWN = 'fuse_module.mlp1.fc1.weight';

describe(expectPhotoMaker.name, () => {
  // Not by mkdtemp, whose letters may be "v2".
  const folder = join(tmpdir(), `maker-${process.pid}`);
  const file = async (name: string, ...tensors: string[]) => {
    const path = join(folder, name);
    await writeSafetensors(path, Object.fromEntries(tensors.map((tensor) => [tensor, { shape: [1] }])));
    return path;
  };
  beforeAll(() => mkdirSync(folder));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('should take version 1', async () => {
    const path = await file('photomaker-v1.safetensors', OWN);
    expect(await expectPhotoMaker(path)).toBe(path);
  });

  it('should refuse version 2, with what it would need', async () =>
    expect(
      expectPhotoMaker(await file('maker.safetensors', OWN, 'qformer_perceiver.token_norm.bias')),
    ).rejects.toThrow(
      /^PHOTO_MAKER_PATH is PhotoMaker 2, which needs a file for each person .* not for commercial use: set version 1/,
    ));

  it('should refuse what the engine would take for version 2 by its path', async () => {
    mkdirSync(join(folder, 'v2'));
    await expect(expectPhotoMaker(await file('v2/maker.safetensors', OWN))).rejects.toThrow(
      /"v2" in its path/,
    );
  });

  it('should refuse other models and formats', async () => {
    await expect(expectPhotoMaker(await file('lora.safetensors', 'lora.down'))).rejects.toThrow(
      /is no PhotoMaker/,
    );
    const published = join(folder, 'photomaker-v1.bin');
    writeFileSync(published, 'PK');
    await expect(expectPhotoMaker(published)).rejects.toThrow(
      /must be a \*\.safetensors file in the engine's format/,
    );
  });
});
