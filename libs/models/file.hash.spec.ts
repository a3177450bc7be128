import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileFacts, fileHash as hash } from './file.hash';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe(FileFacts.name, () => {
  const hashes = new FileFacts((path) => hash(path));
  const fileHash = (path: string) => hashes.of(path);
  let folder: string;
  let file: string;
  let reads: jest.SpyInstance;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hash-'));
    file = join(folder, 'a');
    await writeFile(file, 'one');
    await utimes(file, 1000, 1000);
    reads = jest.spyOn(fs, 'createReadStream');
  });
  afterEach(async () => {
    reads.mockRestore();
    await rm(folder, { recursive: true });
  });

  it('should read a file once, also for those who ask at the same time', async () => {
    const expected = sha256('one');
    expect(await Promise.all([fileHash(file), fileHash(file), fileHash(file)])).toEqual(
      Array(3).fill(expected),
    );
    expect(await fileHash(file)).toBe(expected);
    expect(reads).toHaveBeenCalledTimes(1);
  });

  it.each<[string, () => Promise<void>]>([
    ['touched', () => writeFile(file, 'two')],
    [
      'longer',
      async () => {
        await writeFile(file, 'three');
        await utimes(file, 1000, 1000);
      },
    ],
    [
      'another one of the same size and age',
      async () => {
        await writeFile(join(folder, 'b'), 'two');
        await utimes(join(folder, 'b'), 1000, 1000);
        await rename(join(folder, 'b'), file);
      },
    ],
  ])('should read it again when it is %s', async (_what, change) => {
    await fileHash(file);
    await change();
    expect(await fileHash(file)).toBe(sha256(fs.readFileSync(file, 'utf8')));
    expect(reads).toHaveBeenCalledTimes(2);
  });

  it('should ask a disk again that failed', async () => {
    reads.mockImplementationOnce(() => {
      throw new Error('EIO');
    });
    await expect(fileHash(file)).rejects.toThrow('EIO');
    expect(await fileHash(file)).toBe(sha256('one'));
    await rm(file);
    await expect(fileHash(file)).rejects.toThrow('ENOENT');
  });
});
