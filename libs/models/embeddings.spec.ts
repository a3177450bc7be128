import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { embedding, partlyMatchingLora, writeSafetensors } from '../../test/support/safetensors';
import { isUnchanged, readEmbeddings } from './embeddings';

describe(readEmbeddings.name, () => {
  let folder: string;
  let warn: jest.SpyInstance;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'embeddings-'));
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
  });
  afterEach(async () => {
    warn.mockRestore();
    await rm(folder, { recursive: true });
  });

  const at = (name: string) => join(folder, `${name}.safetensors`);
  const names = async () => (await readEmbeddings(folder)).map(({ name }) => name);

  it('should find them by the names of their files', async () => {
    await writeSafetensors(at('night-sky'), embedding(2));
    await writeSafetensors(at('BadHands'), embedding(1));
    const sha256 = createHash('sha256')
      .update(await readFile(at('night-sky')))
      .digest('hex');
    expect(await readEmbeddings(folder)).toMatchObject([
      { name: 'BadHands', path: at('BadHands'), vectors: 1 },
      { name: 'night-sky', path: at('night-sky'), vectors: 2, sha256 },
    ]);
    expect(warn).not.toHaveBeenCalled();
  });

  it('should take one vector for each encoder that has one dimension', async () => {
    const { clip_l: l, clip_g: g } = embedding(1);
    await writeSafetensors(at('flat'), { clip_l: { ...l, shape: [768] }, clip_g: { ...g, shape: [1280] } });
    expect(await readEmbeddings(folder)).toMatchObject([{ name: 'flat', vectors: 1 }]);
  });

  const { clip_l, clip_g } = embedding(2);
  it.each([
    ['of SD 1.5', { emb_params: clip_l }, 'is for SD 1.5: its vectors have 768 numbers'],
    ['of SD 2', { emb_params: { shape: [2, 1024] } }, 'is for SD 2: its vectors have 1024 numbers'],
    ['without its first half', { clip_g }, 'clip_l'],
    ['of different numbers of vectors', { clip_l, clip_g: embedding(1).clip_g }, 'as many vectors'],
    ['of no vectors', { clip_l: { shape: [0, 768] }, clip_g: { shape: [0, 1280] } }, '1 to 75 vectors'],
    ['of too many', embedding(76), '1 to 75 vectors'],
    ['of zeros', { clip_l: { shape: [1, 768] }, clip_g: { shape: [1, 1280] } }, 'its weights are zero'],
    [
      'of what is no number',
      { clip_l: { shape: [1, 768], values: [NaN] }, clip_g: embedding(1).clip_g },
      'no finite numbers (NaN), in clip_l',
    ],
  ])('should leave out one %s, and say why', async (_what, tensors, why) => {
    await writeSafetensors(at('good'), embedding(1));
    await writeSafetensors(at('bad'), tensors);
    expect(await names()).toEqual(['good']);
    expect(warn).toHaveBeenCalledTimes(1);
    const [[sentence]] = warn.mock.calls as [[string]];
    expect(sentence).toMatch(/^EMBEDDINGS_DIR: bad.safetensors is left out: /);
    expect(sentence).toContain(why);
    expect(sentence).not.toContain(folder);
  });

  it('should leave out what is no embedding, cannot be read, or has a name for prompts twice', async () => {
    await writeSafetensors(at('good'), embedding(1));
    await writeSafetensors(at('GOOD'), embedding(1));
    await writeSafetensors(at('two words'), embedding(1));
    await writeFile(at('cut'), 'not weights');
    await partlyMatchingLora(at('lora'));
    await mkdir(at('folder'));
    await writeFile(join(folder, 'old.pt'), 'pickled');
    await writeFile(join(folder, 'notes.txt'), 'none');
    expect(await names()).toEqual(['GOOD']);
    const told = (warn.mock.calls as [string][]).map(([line]) => line.split(' ').slice(1, 2).join());
    expect(told.sort()).toEqual([
      'cut.safetensors',
      'folder.safetensors',
      'good.safetensors',
      'lora.safetensors',
      'old.pt',
      'two',
    ]);
  });

  it('should notice a file that changed or went away since', async () => {
    await writeSafetensors(at('good'), embedding(1));
    const [good] = await readEmbeddings(folder);
    expect(await isUnchanged(good)).toBe(true);
    await writeSafetensors(at('good'), embedding(2));
    expect(await isUnchanged(good)).toBe(false);
    await rm(at('good'));
    expect(await isUnchanged(good)).toBe(false);
  });

  it('should say which variable names a folder that cannot be read', async () => {
    await expect(readEmbeddings(join(folder, 'absent'))).rejects.toThrow(/^EMBEDDINGS_DIR/);
  });
});
