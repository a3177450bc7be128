import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { DEMO_LAYER, writeSafetensors, type Tensor } from '../../test/support/safetensors';
import { upscalerTensors, writeUpscaler } from '../../test/support/upscaler';
import { findUpscaler, listUpscalers } from './upscalers';

describe('Upscalers of a folder', () => {
  let root: string;
  let folder: string;
  let warn: jest.SpyInstance;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'upscalers-'));
    folder = join(root, 'upscalers');
    await mkdir(folder);
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
  });
  afterEach(async () => {
    warn.mockRestore();
    await rm(root, { recursive: true });
  });

  const at = (name: string) => join(folder, `${name}.safetensors`);
  const sha256 = async (file: string) =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  /** As programs before BasicSR name the layers. */
  const older = (layers: readonly string[]): Record<string, Tensor> => ({
    'model.0.weight': { shape: [64, 3, 3, 3] },
    ...Object.fromEntries(layers.map((layer) => [`model.${layer}.weight`, { shape: [64, 64, 3, 3] }])),
  });

  it('should be listed by name, with the factor that their layers give and their hash', async () => {
    for (const factor of [1, 2, 4] as const) await writeUpscaler(at(`x${factor}`), factor);
    await writeSafetensors(at('older-x1'), older(['2', '4']));
    await writeSafetensors(at('older-x2'), older(['3', '5', '7']));
    await writeSafetensors(at('older-x4'), older(['3', '6', '8', '10']));
    const found = await listUpscalers(folder);
    expect(found.map(({ name, factor }) => [name, factor])).toEqual([
      ['older-x1', 1],
      ['older-x2', 2],
      ['older-x4', 4],
      ['x1', 1],
      ['x2', 2],
      ['x4', 4],
    ]);
    expect(found[5]).toEqual({ name: 'x4', path: at('x4'), factor: 4, sha256: await sha256(at('x4')) });
    expect(warn).not.toHaveBeenCalled();
    expect(await listUpscalers(undefined)).toEqual([]);
  });

  it('should not be what the engine cannot read, which is logged once', async () => {
    await writeFile(at('broken'), 'not weights');
    await writeSafetensors(at('lora'), DEMO_LAYER);
    // Shuffles pixels into channels first, as RealESRGAN_x2plus does.
    const first = { 'conv_first.weight': { shape: [64, 12, 3, 3] } };
    await writeSafetensors(at('shuffled'), { ...upscalerTensors(4), ...first });
    const whole = join(root, 'whole');
    await writeUpscaler(whole, 2);
    await writeFile(at('cut'), (await readFile(whole)).subarray(0, 100_000));
    expect(await listUpscalers(folder)).toEqual([]);
    await listUpscalers(folder);
    const warnings = warn.mock.calls.map(([text]) => String(text));
    expect(warnings).toHaveLength(4);
    expect(warnings).toContainEqual(expect.stringMatching(/RRDBNet of 64 features/));
    expect(warnings).toContainEqual(expect.stringMatching(/cut.* is cut short/));
    await utimes(at('broken'), 1, 1);
    await listUpscalers(folder);
    expect(warn).toHaveBeenCalledTimes(5);
    await expect(findUpscaler(folder, 'shuffled')).rejects.toMatchObject({
      code: 'upscaler_not_found',
      message: expect.stringMatching(/^The upscaler "shuffled" cannot be used: /) as string,
    });
  });

  it('should be found by name, also behind a link, and named where one is not', async () => {
    const elsewhere = join(root, 'elsewhere.safetensors');
    await writeUpscaler(elsewhere, 2);
    await symlink(elsewhere, at('linked'));
    expect(await findUpscaler(folder, 'linked')).toMatchObject({ path: at('linked'), factor: 2 });
    for (const name of ['nobody', '../elsewhere', 'linked.safetensors', ''])
      await expect(findUpscaler(folder, name)).rejects.toMatchObject({
        ...{ code: 'upscaler_not_found', param: 'upscale' },
        message: expect.stringContaining('There are: linked.') as string,
      });
    await expect(findUpscaler(undefined, 'linked')).rejects.toThrow('This service has none (UPSCALER_DIR).');
  });

  it('should be the file that the name stands for now', async () => {
    await writeUpscaler(at('sharp'), 2);
    expect(await findUpscaler(folder, 'sharp')).toMatchObject({ factor: 2 });
    await writeUpscaler(join(root, 'new'), 4);
    await copyFile(join(root, 'new'), at('sharp'));
    expect(await findUpscaler(folder, 'sharp')).toMatchObject({
      factor: 4,
      sha256: await sha256(at('sharp')),
    });
  });

  it('should not be taken for gone while their folder cannot be read', async () => {
    const unreadable = {
      code: 'storage_unavailable',
      message: expect.stringContaining('UPSCALER_DIR') as string,
    };
    await expect(listUpscalers(join(root, 'away'))).rejects.toMatchObject(unreadable);
    await expect(findUpscaler(join(root, 'away'), 'sharp')).rejects.toMatchObject(unreadable);
  });
});
