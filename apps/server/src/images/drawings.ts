import { Injectable } from '@nestjs/common';
import type { JobRecord } from '@app/jobs';
import { inWordsOf, type CallersNames } from '../errors/callers.names';
import { readAs } from '../validation/request.pipe';
import { GenerationRequest } from './images.dto';
import { ImagesService } from './images.service';
import { assertSucceeded } from './picture.answers';
import type { RequestContext } from './request.context';
import { ResultFiles } from './result.files';

export interface Drawing {
  readonly job: JobRecord;
  readonly result: NonNullable<JobRecord['result']>;
  /** As they are stored, one for each of the result's. */
  readonly pictures: readonly Buffer[];
}

/** `POST /v1/images/generations` for routes of other services' clients, which read pictures from the reply itself. */
@Injectable()
export class Drawings {
  constructor(
    private readonly images: ImagesService,
    private readonly files: ResultFiles,
  ) {}

  /**
   * `request`: a body of that route, whose rules are looked at here. `names`: those that its fields have for the caller, in
   * errors. Waits as long as it takes.
   */
  async draw(request: object, call: RequestContext, names: CallersNames): Promise<Drawing> {
    try {
      return await this.drawn(request, call);
    } catch (error) {
      throw inWordsOf(names, error);
    }
  }

  private async drawn(request: object, call: RequestContext): Promise<Drawing> {
    const options = await readAs(GenerationRequest, request);
    // The wait may be long, and pictures that came with the request large.
    Object.assign(request, { image: undefined, mask: undefined });
    const { job } = await this.images.generations(options, { ...call, prefer: { respondAsync: false } });
    assertSucceeded(job);
    const result = job.result!;
    return { job, result, pictures: await this.files.read(result) };
  }
}
