import { Injectable } from '@nestjs/common';
import { ServiceError } from '@app/errors';
import { picturesOf, resultGone, type JobRecord } from '@app/jobs';
import { Storage } from '@app/storage';
import { RequestPipe } from '../validation/request.pipe';
import { GenerationRequest } from './images.dto';
import { ImagesService } from './images.service';
import type { RequestContext } from './request.context';

/** Bytes of a stored picture: PNG makes little more of one than its pixels, at most 4096x4096. */
const MAX_BYTES = 64 * 1024 * 1024;

export interface Drawing {
  readonly job: JobRecord;
  readonly result: NonNullable<JobRecord['result']>;
  /** As they are stored, one for each of the result's. */
  readonly pictures: readonly Buffer[];
}

/** `POST /v1/images/generations` for routes of other services' clients, which read pictures from the reply itself. */
@Injectable()
export class Drawings {
  private readonly rules = new RequestPipe();

  constructor(
    private readonly images: ImagesService,
    private readonly storage: Storage,
  ) {}

  /** `request`: a body of that route, whose rules are looked at here. Waits as long as it takes. */
  async draw(request: object, call: RequestContext): Promise<Drawing> {
    const options = (await this.rules.transform(request, {
      type: 'body',
      metatype: GenerationRequest,
    })) as GenerationRequest;
    // The wait may be long, and pictures that came with the request large.
    Object.assign(request, { image: undefined, mask: undefined });
    const { job } = await this.images.generations(options, { ...call, prefer: { respondAsync: false } });
    if (!job.result) throw new ServiceError(job.error!.code, job.error!.message, job.error!.param);
    const pictures = await Promise.all(picturesOf(job.result).map(({ key }) => this.read(key)));
    return { job, result: job.result, pictures };
  }

  private async read(key: string): Promise<Buffer> {
    const bytes = await this.storage.read(key, MAX_BYTES);
    if (!bytes) throw resultGone();
    return bytes;
  }
}
