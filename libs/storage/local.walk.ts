import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isKey } from './key';
import { isAbsent } from './local.errors';
import type { ObjectInfo } from './storage';

/**
 * Files below `folder`, whose own key is `path` (empty or with a slash at its end), in S3's order: by the
 * bytes of whole keys. A folder therefore sorts as its name with the slash: `a.png` comes before `a/b`.
 */
export async function* walk(folder: string, path: string, prefix: string): AsyncGenerator<ObjectInfo> {
  const entries = (await readdir(folder, { withFileTypes: true }).catch(absentAs([])))
    .filter((entry) => entry.isFile() || entry.isDirectory())
    .map((entry) => ({
      key: path + entry.name,
      entry,
      bytes: Buffer.from(entry.name + (entry.isFile() ? '' : '/')),
    }))
    .filter(({ key }) => isKey(key) && key.startsWith(prefix))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  for (const { key, entry } of entries) {
    const place = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(place, `${key}/`, prefix);
    else {
      const stats = await lstat(place, { bigint: true }).catch(absentAs(undefined));
      if (stats?.isFile()) yield describe(key, stats);
    }
  }
}

/** For objects that go away while they are listed. */
const absentAs =
  <T>(value: T) =>
  (error: unknown): T => {
    if (isAbsent(error)) return value;
    throw error;
  };

export function describe(key: string, stats: BigIntStats): ObjectInfo {
  const etag = [stats.size, stats.mtimeNs, stats.ino].map((part) => part.toString(16)).join('-');
  return { key, size: Number(stats.size), lastModified: stats.mtime, etag: `"${etag}"` };
}
