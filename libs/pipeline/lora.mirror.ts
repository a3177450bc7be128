import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Config } from '@app/config';
import { LORA_NAME, mirroredLoras, replaceFile } from '@app/models';
import { Storage, type ObjectInfo } from '@app/storage';

/** Between looks at the bucket, and after one that failed; milliseconds. */
const INTERVAL = 30_000;
const AFTER_FAILURE = 5_000;
const EXTENSION = '.safetensors';
/** Which objects the files are: ETags by name of file. */
const INDEX = '.objects.json';
/** Milliseconds after which a file that nobody finished is a dead process's. */
const ABANDONED = 3_600_000;

/** Keeps the LoRAs of LORA_S3_PREFIX in a folder of DATA_DIR, where the engine can read them. Without the variable it does nothing. */
@Injectable()
export class LoraMirror implements OnApplicationShutdown {
  private readonly logger = new Logger('Loras');
  private readonly folder: string;
  private readonly prefix?: string;
  private readonly closing = new AbortController();
  private readonly warned = new Set<string>();
  private watch?: Promise<void>;

  constructor(
    config: Config,
    private readonly storage: Storage,
  ) {
    this.folder = mirroredLoras(config);
    this.prefix = config.ENABLE_LORA ? config.LORA_S3_PREFIX : undefined;
  }

  /** Resolves after the first look at the bucket, also where that failed: there may be files of an earlier run. Never rejects. */
  async start(): Promise<void> {
    if (this.prefix === undefined) return;
    const looked = await this.refresh();
    this.watch = this.follow(looked);
  }

  async onApplicationShutdown(): Promise<void> {
    this.closing.abort();
    await this.watch;
  }

  private async follow(looked: boolean): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      await sleep(looked ? INTERVAL : AFTER_FAILURE, undefined, { signal, ref: false }).catch(() => {});
      if (!signal.aborted) looked = await this.refresh();
    }
  }

  /** true: what is in the bucket is here. Never rejects. */
  async refresh(): Promise<boolean> {
    try {
      await this.sync();
      return true;
    } catch (error) {
      if (!this.closing.signal.aborted)
        this.logger.warn(
          { err: error },
          'LORA_S3_PREFIX: the bucket or the disk cannot be used; tried again',
        );
      return false;
    }
  }

  /** Whole files only, each in the place of the old one at once; nothing is removed unless the whole list was read. */
  private async sync(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const objects = await this.objects();
    await this.tidy(objects);
    const index = await this.index();
    for (const [file, object] of objects) {
      const path = join(this.folder, file);
      const size = await stat(path).then(
        (found) => found.size,
        () => undefined,
      );
      if (index[file] === object.etag && size === object.size) continue;
      if (!(await this.fetch(object.key, path))) continue;
      index[file] = object.etag;
      await replaceFile(join(this.folder, INDEX), (temporary) => writeFile(temporary, JSON.stringify(index)));
      this.logger.log(`LORA_S3_PREFIX: ${file} is here (${(object.size / 1e6).toFixed(1)} MB)`);
    }
  }

  private async objects(): Promise<Map<string, ObjectInfo>> {
    const objects = new Map<string, ObjectInfo>();
    for await (const object of this.storage.list(this.prefix!)) {
      const file = object.key.slice(this.prefix!.length);
      if (!file.endsWith(EXTENSION)) continue;
      if (LORA_NAME.test(file.slice(0, -EXTENSION.length))) objects.set(file, object);
      else if (!this.warned.has(file)) {
        this.warned.add(file);
        this.logger.warn(
          `LORA_S3_PREFIX: ${file} is not offered: a LoRA is directly below the prefix, and its name must match ${LORA_NAME.source}`,
        );
      }
    }
    return objects;
  }

  /** Removes what is in the bucket no more, and what a killed process left. */
  private async tidy(wanted: ReadonlyMap<string, ObjectInfo>): Promise<void> {
    for (const file of await readdir(this.folder)) {
      const path = join(this.folder, file);
      const gone = file.endsWith(EXTENSION)
        ? !wanted.has(file)
        : file !== INDEX && (await stat(path)).mtimeMs < Date.now() - ABANDONED;
      if (gone) await rm(path, { force: true });
    }
  }

  private async index(): Promise<Record<string, string>> {
    const text = await readFile(join(this.folder, INDEX), 'utf8').catch(() => '{}');
    try {
      return JSON.parse(text) as Record<string, string>;
    } catch {
      return {};
    }
  }

  /** false: it was deleted since it was listed. */
  private async fetch(key: string, path: string): Promise<boolean> {
    const object = await this.storage.open(key);
    if (!object) return false;
    await replaceFile(path, async (temporary) => {
      await pipeline(object.body, createWriteStream(temporary), { signal: this.closing.signal });
      const { size } = await stat(temporary);
      if (size !== object.size) throw new Error(`${key} ended after ${size} of ${object.size} bytes`);
    });
    return true;
  }
}
