import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { ifThere } from './absent';
import type { HubFile } from './hub.client';
import type { HubReference } from './hub.reference';
import { replaceFile } from './replace.file';

/**
 * The folder layout of the hub's own libraries, so that HF_HOME may be a cache they filled and they can use ours:
 * `hub/models--owner--name/` with `blobs/ETAG` (the bytes, complete since they are renamed into place),
 * `snapshots/COMMIT/PATH` (links to blobs) and `refs/REVISION` (the commit seen last).
 */
export class HubCache {
  constructor(private readonly home: string) {}

  /** The file, when an earlier run got it. No network is asked: a revision stays at the commit first seen. */
  async find(reference: HubReference & { path: string }): Promise<string | undefined> {
    const commit = await this.commit(reference);
    if (!commit) return undefined;
    const path = join(this.folder(reference.repo), 'snapshots', commit, reference.path);
    return (await isFile(path)) ? path : undefined;
  }

  blob(file: HubFile): string {
    return join(this.folder(file.repo), 'blobs', file.etag);
  }

  /** Makes a complete blob findable: the link, then the revision's commit. */
  async link(file: HubFile, revision: string): Promise<string> {
    const path = join(this.folder(file.repo), 'snapshots', file.commit, file.path);
    await replaceFile(path, (temporary) => symlink(relative(dirname(path), this.blob(file)), temporary));
    const ref = join(this.folder(file.repo), 'refs', revision);
    await replaceFile(ref, (temporary) => writeFile(temporary, file.commit));
    return path;
  }

  /** Which file of the repository was chosen when the reference named none: asking again needs the network. */
  async choice(reference: HubReference): Promise<string | undefined> {
    return readText(this.choiceFile(reference));
  }

  async rememberChoice(reference: HubReference, path: string): Promise<void> {
    const file = this.choiceFile(reference);
    await replaceFile(file, (temporary) => writeFile(temporary, path));
  }

  private choiceFile(reference: HubReference): string {
    return join(this.folder(reference.repo), 'checkpoints', reference.revision);
  }

  private async commit({ repo, revision }: HubReference): Promise<string | undefined> {
    if (/^[0-9a-f]{40}$/.test(revision)) return revision;
    return readText(join(this.folder(repo), 'refs', revision));
  }

  private folder(repo: string): string {
    return join(this.home, 'hub', `models--${repo.replace('/', '--')}`);
  }
}

async function readText(path: string): Promise<string | undefined> {
  return (await ifThere(readFile(path, 'utf8')))?.trim() || undefined;
}

/** Follows links: a snapshot whose blob was deleted is not there. */
const isFile = async (path: string) => (await ifThere(stat(path)))?.isFile() ?? false;
