import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

let counter = 0;

/**
 * Puts a small file or link in its place at once: `write` makes it beside, then it is renamed over what is there.
 * Two that finish the same file at the same time both succeed, and no reader sees a half.
 */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}.${counter++}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    // A killed process with this number may have left one.
    await rm(temporary, { force: true });
    await write(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
