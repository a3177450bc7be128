import { Injectable } from '@nestjs/common';
import { picturesOf, resultGone, type JobRecord } from '@app/jobs';
import { Storage } from '@app/storage';

/** Bytes of a stored picture: PNG makes little more of one than its pixels, at most 4096x4096. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The files of a result, for replies that hold them. */
@Injectable()
export class ResultFiles {
  constructor(private readonly storage: Storage) {}

  /** As they are stored, one for each picture. Throws `result_gone` where one was deleted since. */
  read(result: NonNullable<JobRecord['result']>): Promise<Buffer[]> {
    return Promise.all(
      picturesOf(result).map(async ({ key }) => {
        const bytes = await this.storage.read(key, MAX_BYTES);
        if (!bytes) throw resultGone();
        return bytes;
      }),
    );
  }
}
