import { statfs } from 'node:fs/promises';
import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { localUnavailable } from './local.errors';

const MB = 1_000_000;

/** What is left of the disk of DATA_DIR, where records or pictures are kept there. */
@Injectable()
export class DiskSpace {
  constructor(private readonly config: Config) {}

  /** Bytes that may still be written; undefined where nothing is kept on this machine. */
  async free(): Promise<number | undefined> {
    const { REDIS_URL, S3_BUCKET_NAME, DATA_DIR } = this.config;
    if (REDIS_URL && S3_BUCKET_NAME) return undefined;
    try {
      const { bavail, bsize } = await statfs(DATA_DIR);
      return bavail * bsize;
    } catch (error) {
      throw localUnavailable('read', error);
    }
  }

  /** Throws `storage_unavailable` before the disk is so full that what was accepted suffers. */
  async assertEnough(): Promise<void> {
    const { MIN_FREE_DISK_MB: least } = this.config;
    const free = least > 0 ? await this.free() : undefined;
    if (free === undefined || free >= least * MB) return;
    throw new ServiceError(
      'storage_unavailable',
      `The disk of DATA_DIR has ${Math.floor(free / MB)} MB left, less than MIN_FREE_DISK_MB (${least}): no job is accepted`,
    );
  }
}
