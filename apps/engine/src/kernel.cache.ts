import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export type CacheVariables = Partial<Record<'CUDA_CACHE_DISABLE' | 'CUDA_CACHE_PATH', string>>;

/**
 * NVIDIA's driver compiles kernels for a card that the engine has no machine code for, and keeps them in a folder. What is
 * wrong with that, in a sentence; undefined: nothing.
 */
export function kernelCacheProblem(variables: CacheVariables): string | undefined {
  const cost = 'each start of an engine compiles its kernels again';
  if (variables.CUDA_CACHE_DISABLE === '1')
    return `CUDA_CACHE_DISABLE=1: ${cost}. Without it they are kept in CUDA_CACHE_PATH`;
  const folder = variables.CUDA_CACHE_PATH || join(homedir(), '.nv/ComputeCache');
  const probe = join(folder, `.probe-${process.pid}`);
  try {
    makeFolder(resolve(folder));
    writeFileSync(probe, '');
    rmSync(probe);
    return undefined;
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    return `the folder for CUDA's compiled kernels cannot be written (${folder}: ${code}): ${cost}. Set CUDA_CACHE_PATH to one that can, and that outlives the container`;
  }
}

/** Node's own recursive way never ends below /proc, where a folder that exists takes no other (ENOENT). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder);
}
