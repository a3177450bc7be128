import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, realpath, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { ifThere } from './absent';

/** A file of the cache, as one snapshot of its repository has it. */
export interface CachedFile {
  readonly repo: string;
  readonly commit: string;
  /** Branches and tags that stood for the commit when it was last asked for. */
  readonly revisions: readonly string[];
  /** In the repository. */
  readonly path: string;
  /** bytes */
  readonly size: number;
  /** Of the link, and of the bytes. */
  readonly link: string;
  readonly blob: string;
}

export type Check = 'right' | 'damaged' | 'unknown';

/** All files of the hub's cache in this HF_HOME, those that other programs brought among them, by name. */
export async function cachedFiles(home: string): Promise<CachedFile[]> {
  const found: CachedFile[] = [];
  for (const folder of await names(join(home, 'hub'))) {
    const repo = /^models--(.+?)--(.+)$/.exec(folder)?.slice(1).join('/');
    if (repo) found.push(...(await filesOf(repo, join(home, 'hub', folder))));
  }
  return found.sort((a, b) => `${a.repo}:${a.path}`.localeCompare(`${b.repo}:${b.path}`));
}

async function filesOf(repo: string, folder: string): Promise<CachedFile[]> {
  const refs = await revisionsOf(join(folder, 'refs'));
  const found: CachedFile[] = [];
  for (const commit of await names(join(folder, 'snapshots'))) {
    const snapshot = join(folder, 'snapshots', commit);
    for (const name of await names(snapshot, true)) {
      const link = join(snapshot, name);
      const info = await ifThere(stat(link)); // a link whose bytes were deleted leads nowhere
      if (!info?.isFile()) continue;
      const blob = await realpath(link);
      found.push({
        repo,
        commit,
        revisions: refs.get(commit) ?? [],
        path: name,
        size: info.size,
        link,
        blob,
      });
    }
  }
  return found;
}

async function revisionsOf(refs: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const name of await names(refs, true)) {
    const path = join(refs, name);
    if (!(await stat(path)).isFile()) continue;
    const commit = (await readFile(path, 'utf8')).trim();
    found.set(commit, [...(found.get(commit) ?? []), name]);
  }
  return found;
}

const names = async (folder: string, recursive = false): Promise<string[]> =>
  ((await ifThere(readdir(folder, { recursive }))) ?? []).sort();

/**
 * Whether the bytes are those that the hub named: its ETag, the blob's name, is the sha256 of a large file, and git's object
 * id of a small one.
 */
export async function checkFile({ blob, size }: CachedFile): Promise<Check> {
  const name = basename(blob);
  const algorithm = { 64: 'sha256', 40: 'sha1' }[name.length];
  if (!algorithm || !/^[0-9a-f]+$/.test(name)) return 'unknown';
  const hash = createHash(algorithm);
  if (algorithm === 'sha1') hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(blob, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex') === name ? 'right' : 'damaged';
}

/** The file's link, its bytes unless another of `all` has the same, and the folders that are empty then. */
export async function removeFile(file: CachedFile, all: readonly CachedFile[]): Promise<void> {
  await rm(file.link, { force: true });
  const shared = all.some(({ blob, link }) => blob === file.blob && link !== file.link);
  if (!shared) await rm(file.blob, { force: true });
  const snapshots = file.link.slice(0, file.link.length - file.path.length - file.commit.length - 1);
  for (let folder = dirname(file.link); relative(snapshots, folder) !== ''; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      return; // others are in it
    }
  }
}
