import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { safetensors, withHeader, writeSafetensors } from '../../test/support/safetensors';
import { readSafetensors } from './safetensors';

describe(readSafetensors.name, () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
    file = join(folder, 'model.safetensors');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('should tell the tensors', async () => {
    await writeSafetensors(file, { a: { shape: [2, 3] }, b: { shape: [] } });
    const { tensors, metadata } = await readSafetensors(file);
    expect([...tensors]).toEqual([
      ['a', { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] }],
      ['b', { dtype: 'F32', shape: [], data_offsets: [24, 28] }],
    ]);
    expect(metadata).toEqual({ format: 'pt' });
  });

  it('should take tensors that share bytes', async () => {
    const tensor = { dtype: 'F16', shape: [4], data_offsets: [0, 8] };
    await writeFile(file, withHeader({ a: tensor, b: tensor }, Buffer.alloc(8)));
    expect((await readSafetensors(file)).tensors.size).toBe(2);
  });

  it.each([
    ['in its tensors', -1, /^model\.safetensors is cut short: it has \d+ of \d+ bytes/],
    ['in its header', -60, /^model\.safetensors is cut short inside its header/],
  ])('should notice a file that is cut %s', async (_where, by, message) => {
    const whole = safetensors({ a: { shape: [10] } });
    await writeFile(file, whole);
    await truncate(file, whole.length + by);
    await expect(readSafetensors(file)).rejects.toThrow(message);
  });

  it.each([
    ['empty', Buffer.alloc(0)],
    ['a page of HTML', Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>')],
    ['a pointer of git-lfs', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\n')],
    ['JSON of another shape', withHeader({ a: { dtype: 'F16', shape: [1] } }, Buffer.alloc(2))],
    ['a header that is no object', withHeader([1, 2], Buffer.alloc(2))],
    [
      'tensors that end before they begin',
      withHeader({ a: { dtype: 'F16', shape: [1], data_offsets: [4, 2] } }, Buffer.alloc(4)),
    ],
  ])('should notice a file that is %s', async (_what, bytes) => {
    await writeFile(file, bytes);
    await expect(readSafetensors(file)).rejects.toThrow('model.safetensors is not a safetensors file');
  });
});
