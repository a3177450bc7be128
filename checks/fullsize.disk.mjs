/** What the check finds on the disk. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Where DATA_DIR has what came of the checkpoint from the hub. */
export const BLOBS = 'models/hub/models--stabilityai--stable-diffusion-xl-base-1.0/blobs';

/** @param {string} path */
export async function sizeOf(path) {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** Bytes of the checkpoint that are on disk. @param {string} data */
export async function partOf(data) {
  const names = await readdir(join(data, BLOBS)).catch(() => []);
  const part = names.find((name) => name.endsWith('.part'));
  return part ? sizeOf(join(data, BLOBS, part)) : 0;
}

/** @param {string} folder */
export async function sizeOfAll(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map(sizeOf))).reduce((sum, size) => sum + size, 0);
}
