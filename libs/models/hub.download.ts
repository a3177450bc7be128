import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { tellFailure } from '@app/errors';
import { ModelError } from './model.error';
import type { OnProgress } from './model.progress';
import { PartFile } from './part.file';
import { incoming } from './hub.ranges';
import type { HubClient, HubFile } from './hub.client';

/** A connection that breaks is taken up again as long as each one brings bytes; this many in a row without end it. */
const FRUITLESS = 3;

/**
 * Brings `file` to `target`. Resumes what an earlier run left (parts are named by the content's hash, so a file that
 * changed on the hub starts a part of its own), verifies size and sha256, and renames into place.
 * `variable` is what a failure is blamed on.
 */
export async function download(
  client: HubClient,
  file: HubFile,
  target: string,
  variable: string,
  onProgress: OnProgress,
): Promise<void> {
  const part = await PartFile.claim(target);
  try {
    for (let again = false; ; again = true) {
      const sha256 = await fetchAll(client, file, part, variable, onProgress);
      if (!file.sha256 || sha256 === file.sha256) break;
      await part.discard();
      if (again) {
        throw new ModelError(
          `${variable}: ${file.path} came damaged twice (its sha256 is not the one that the hub names). ` +
            'Check HF_ENDPOINT and any proxy between.',
        );
      }
    }
    await part.commit();
  } finally {
    part.release();
  }
}

/** Appends until the part has the file's size; gives back the sha256 of all its bytes. */
async function fetchAll(
  client: HubClient,
  file: HubFile,
  part: PartFile,
  variable: string,
  onProgress: OnProgress,
): Promise<string> {
  if ((await part.size()) > file.size) await part.discard();
  let hash = await hashPart(part, file, onProgress);
  for (let fruitless = 0; (await part.size()) < file.size;) {
    const start = await part.size();
    try {
      const { whole, bytes } = await incoming(client, file, start, variable);
      if (whole) hash = createHash('sha256');
      await append(bytes, part, whole, file, hash, onProgress);
    } catch (error) {
      if (error instanceof ModelError || isDisk(error)) throw error;
      // What came before the break is on disk and in the hash; the loop continues from there.
      tellFailure({ of: 'hub', what: 'none' });
    }
    if ((await part.size()) > file.size) {
      throw new ModelError(`${variable}: the hub sent more bytes for ${file.path} than it said.`);
    }
    fruitless = (await part.size()) > start ? 0 : fruitless + 1;
    if (fruitless === FRUITLESS) {
      throw new ModelError(
        `${variable}: the download of ${file.path} broke off at ${await part.size()} of ${file.size} bytes, again and again. ` +
          'Check the network and start again: the download continues from there.',
      );
    }
    if (fruitless > 0) await pause(client.retryDelayMs);
  }
  return hash.digest('hex');
}

async function append(
  bytes: AsyncIterable<Buffer>,
  part: PartFile,
  whole: boolean,
  file: HubFile,
  hash: Hash,
  onProgress: OnProgress,
): Promise<void> {
  const out = await part.open(whole ? 'truncate' : 'append');
  try {
    let done = whole ? 0 : await part.size();
    for await (const chunk of bytes) {
      // The hash follows the disk: when the disk is full, neither has the chunk.
      await out.writeFile(chunk);
      hash.update(chunk);
      done += chunk.length;
      if (done > file.size) return;
      onProgress({ phase: 'download', file: basename(file.path), done, total: file.size });
    }
  } finally {
    await out.close();
  }
}

async function hashPart(part: PartFile, file: HubFile, onProgress: OnProgress): Promise<Hash> {
  const hash = createHash('sha256');
  const total = await part.size();
  if (total === 0) return hash;
  let done = 0;
  for await (const chunk of createReadStream(part.path) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    done += chunk.length;
    onProgress({ phase: 'verify', file: basename(file.path), done, total });
  }
  return hash;
}

const isDisk = (error: unknown) =>
  ['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EIO'].includes(
    (error as NodeJS.ErrnoException).code ?? '',
  );
