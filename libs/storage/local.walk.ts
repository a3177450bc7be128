import type { BigIntStats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { isKey } from './key';
import { isAbsent } from './local.errors';
import type { ObjectInfo } from './storage';

/**
 * Files below `folder`, whose own key is `path` (empty or with a slash at its end). A few names at a time: with a hundred
 * thousand in one folder others are served meanwhile.
 */
export async function* walk(folder: string, path: string, prefix: string): AsyncGenerator<ObjectInfo> {
  const entries = await opendir(folder).catch(absentAs(undefined));
  for await (const entry of entries ?? []) {
    const key = path + entry.name;
    const place = join(folder, entry.name);
    if (!isKey(key) || !key.startsWith(prefix)) continue;
    if (entry.isDirectory()) yield* walk(place, `${key}/`, prefix);
    else if (entry.isFile()) {
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
