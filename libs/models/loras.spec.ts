import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import {
  DEMO_LAYER,
  loraForAnotherModel,
  loraLayer,
  partlyMatchingLora,
  SDXL_LAYER,
  writeSafetensors,
} from '../../test/support/safetensors';
import { asStranger } from '../../test/support/stranger';
import { findLora, largestLora, listLoras } from './loras';

describe('LoRAs of a folder', () => {
  let root: string;
  let folder: string;
  let warn: jest.SpyInstance;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'loras-'));
    folder = join(root, 'loras');
    await mkdir(folder);
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
  });
  afterEach(async () => {
    warn.mockRestore();
    await rm(root, { recursive: true });
  });

  const sha256 = async (file: string) =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  const SDXL = { baseModel: 'SDXL', triggerWords: [] };
  const at = (name: string) => join(folder, `${name}.safetensors`);

  it('should know the bytes of the largest', async () => {
    expect(await largestLora(folder)).toBe(0);
    await partlyMatchingLora(at('watercolor'));
    await writeFile(at('large'), Buffer.alloc(200_000));
    await writeFile(join(folder, 'notes.txt'), Buffer.alloc(300_000));
    expect(await largestLora(folder)).toBe(200_000);
    expect(await largestLora(join(root, 'absent'))).toBe(0);
  });

  it('should list them by name with the number of their tensors and their hash', async () => {
    await partlyMatchingLora(at('watercolor'));
    await loraForAnotherModel(at('ink.v2'));
    expect(await listLoras(folder)).toEqual([
      { name: 'ink.v2', path: at('ink.v2'), tensors: 6, sha256: await sha256(at('ink.v2')), about: SDXL },
      {
        name: 'watercolor',
        path: at('watercolor'),
        tensors: 6,
        sha256: await sha256(at('watercolor')),
        about: SDXL,
      },
    ]);
    expect(warn).not.toHaveBeenCalled();
  });

  it('should not offer what is none, and log why', async () => {
    await writeFile(at('broken'), 'not weights');
    await writeSafetensors(at('checkpoint'), { 'model.diffusion_model.out.2.weight': { shape: [4] } });
    await writeSafetensors(join(folder, '-rf.safetensors'), DEMO_LAYER);
    await writeFile(join(folder, 'notes.txt'), 'mine');
    await mkdir(at('folder'));
    expect(await listLoras(folder)).toEqual([]);
    const warnings = warn.mock.calls.map(([text]) => String(text));
    expect(warnings).toHaveLength(4);
    expect(warnings).toContainEqual(expect.stringMatching(/broken.* is not a safetensors file/));
    expect(warnings).toContainEqual(expect.stringMatching(/checkpoint.* holds no LoRA tensors/));
  });

  it('should warn of a file once, and again when it was replaced', async () => {
    const warnings = () => warn.mock.calls.length;
    await writeFile(at('broken'), 'not weights');
    await writeFile(join(folder, '-rf.safetensors'), 'nor a name');
    await listLoras(folder);
    await listLoras(folder);
    await expect(findLora(folder, 'sepia')).rejects.toMatchObject({ code: 'lora_not_found' });
    expect(warnings()).toBe(2);
    await utimes(at('broken'), 1, 1);
    await listLoras(folder);
    expect(warnings()).toBe(3);
  });

  it('should give the hash of the weights that the name stands for now', async () => {
    await writeSafetensors(at('style'), DEMO_LAYER);
    const before = await findLora(folder, 'style');
    await partlyMatchingLora(at('style'));
    const after = await findLora(folder, 'style');
    expect(after.sha256).toBe(await sha256(at('style')));
    expect(after.sha256).not.toBe(before.sha256);
  });

  it('should read no weights to say that a name is unknown', async () => {
    await writeSafetensors(at('style'), DEMO_LAYER);
    const reads = jest.spyOn(fs, 'createReadStream');
    await expect(findLora(folder, 'sepia')).rejects.toThrow('There are: style.');
    expect(reads).not.toHaveBeenCalled();
    reads.mockRestore();
  });

  it('should find one, also behind a link that leads out of the folder', async () => {
    await writeSafetensors(join(root, 'elsewhere.safetensors'), DEMO_LAYER);
    await symlink(join(root, 'elsewhere.safetensors'), at('linked'));
    expect(await findLora(folder, 'linked')).toEqual({
      name: 'linked',
      path: at('linked'),
      tensors: 3,
      sha256: await sha256(join(root, 'elsewhere.safetensors')),
      about: { triggerWords: [] },
    });
  });

  it('should refuse one for another model, and not list it', async () => {
    await writeSafetensors(
      at('old'),
      loraLayer('down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k', 768, 320),
    );
    await writeSafetensors(at('style'), DEMO_LAYER);
    expect((await listLoras(folder)).map(({ name }) => name)).toEqual(['style']);
    await expect(findLora(folder, 'old')).rejects.toMatchObject({
      code: 'lora_not_applied',
      message: 'The LoRA "old" cannot be used: old.safetensors is for Stable Diffusion 1, not for SDXL.',
    });
    expect(warn.mock.calls.map(String)).toEqual([expect.stringMatching(/old.* is for Stable Diffusion 1/)]);
  });

  it('should name ten that there are when one is not', async () => {
    for (let i = 10; i < 22; i++) await writeSafetensors(at(`style-${i}`), DEMO_LAYER);
    await expect(findLora(folder, 'sepia')).rejects.toMatchObject({
      code: 'lora_not_found',
      param: 'loras',
      message: expect.stringMatching(
        /^There is no LoRA "sepia"\. There are: style-10, .*style-19 and 2 more\.$/,
      ) as string,
    });
  });

  it('should say why a broken one cannot be used', async () => {
    await writeFile(at('broken'), 'not weights');
    await expect(findLora(folder, 'broken')).rejects.toMatchObject({
      code: 'lora_not_found',
      message: expect.stringMatching(
        /^The LoRA "broken" cannot be used: .* not a safetensors file/,
      ) as string,
    });
  });

  it('should refuse one that holds no numbers or changes nothing, by name, and not offer it', async () => {
    const layer = Object.entries(DEMO_LAYER);
    const change = (part: RegExp, value: number) =>
      Object.fromEntries(
        layer.map(([name, tensor]) => [
          name,
          part.test(name)
            ? { ...tensor, values: tensor.values!.map((old, i) => (i === 3 ? value : old)) }
            : tensor,
        ]),
      );
    const zero = (part: RegExp) =>
      Object.fromEntries(
        layer.map(([name, tensor]) => [name, part.test(name) ? { shape: tensor.shape } : tensor]),
      );
    await writeSafetensors(at('nan'), change(/up/, NaN));
    await writeSafetensors(at('infinite'), change(/down/, -Infinity));
    await writeSafetensors(at('untrained'), zero(/up/));
    await writeSafetensors(at('alpha'), zero(/alpha/));
    await writeSafetensors(at('half'), { ...zero(/up/), ...SDXL_LAYER });
    const told = (name: string) => findLora(folder, name).catch((error: unknown) => error);
    for (const name of ['nan', 'infinite'])
      expect(await told(name)).toMatchObject({
        code: 'lora_not_applied',
        param: 'loras',
        message: expect.stringMatching(
          new RegExp(
            `^The LoRA "${name}" cannot be used: ${name}.safetensors has weights that are no finite numbers \\(NaN\\), in lora_unet_`,
          ),
        ) as string,
      });
    for (const name of ['untrained', 'alpha'])
      expect(await told(name)).toMatchObject({
        code: 'lora_not_applied',
        message: `The LoRA "${name}" cannot be used: ${name}.safetensors changes nothing: its weights are zero.`,
      });
    expect((await listLoras(folder)).map(({ name }) => name)).toEqual(['half']);
    expect(warn).toHaveBeenCalledTimes(4);
  });

  it.each(['../secret', '../loras/../secret', '.hidden', '', 'a/b', '..', `${'a'.repeat(129)}`])(
    'should keep %j inside the folder',
    async (name) => {
      await writeSafetensors(join(root, 'secret.safetensors'), DEMO_LAYER);
      await writeSafetensors(join(folder, '.hidden.safetensors'), DEMO_LAYER);
      await expect(findLora(folder, name)).rejects.toMatchObject({ code: 'lora_not_found' });
    },
  );

  it('should not say of a LoRA that it is not there when nobody can know', async () => {
    await writeSafetensors(at('style'), DEMO_LAYER);
    const blocked = { code: 'storage_unavailable', message: expect.stringContaining('EACCES') as string };
    await asStranger(root, () => expect(findLora(folder, 'style')).rejects.toMatchObject(blocked));
    expect((await findLora(folder, 'style')).name).toBe('style');
    // A file whose bytes the disk does not give: of this one the kernel says so.
    await symlink('/proc/self/mem', at('faulty'));
    await expect(findLora(folder, 'faulty')).rejects.toMatchObject({
      code: 'storage_unavailable',
      message: 'The file of the LoRA "faulty" cannot be read now (EIO)',
    });
    await symlink(at('loop'), at('loop'));
    await expect(findLora(folder, 'loop')).rejects.toMatchObject({ code: 'lora_not_found' });
  });

  it('should have none without a folder', async () => {
    expect(await listLoras(undefined)).toEqual([]);
    await expect(findLora(undefined, 'night')).rejects.toThrow('This service has no LoRAs.');
  });
});
