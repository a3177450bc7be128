import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernelCacheProblem } from './kernel.cache';

describe(kernelCacheProblem.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'kernel-cache-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('should make the folder as the driver would, and leave nothing in it', () => {
    const cache = join(folder, 'home/.nv/ComputeCache');
    expect(kernelCacheProblem({ CUDA_CACHE_PATH: cache })).toBeUndefined();
    expect(existsSync(cache)).toBe(true);
    expect(readdirSync(cache)).toEqual([]);
  });

  it('should say which folder cannot be written, and what to do', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const cache of [join(file, 'cache'), '/proc/cache'])
      expect(kernelCacheProblem({ CUDA_CACHE_PATH: cache })).toMatch(
        new RegExp(`cannot be written \\(${cache}: E[A-Z]+\\).*Set CUDA_CACHE_PATH`),
      );
  });

  it('should say that the cache is switched off', () => {
    expect(kernelCacheProblem({ CUDA_CACHE_DISABLE: '1', CUDA_CACHE_PATH: folder })).toMatch(
      /^CUDA_CACHE_DISABLE=1: /,
    );
    expect(kernelCacheProblem({ CUDA_CACHE_DISABLE: '0', CUDA_CACHE_PATH: folder })).toBeUndefined();
  });
});
