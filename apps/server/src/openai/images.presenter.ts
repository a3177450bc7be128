import { buffer } from 'node:stream/consumers';
import { Injectable } from '@nestjs/common';
import { resultGone, type JobRecord } from '@app/jobs';
import { Storage } from '@app/storage';
import { JobPresenter } from '../jobs/job.presenter';
import type { PictureData } from '../jobs/picture.dto';
import {
  formatOf,
  NO_TOKENS,
  qualityOf,
  warningsOf,
  type CreateImageRequest,
  type ImageData,
  type ImagesReply,
  outputFormatOf,
  type ResponseFormat,
} from './openai.dto';

/** Records -> replies as OpenAI's clients read them. */
@Injectable()
export class ImagesPresenter {
  constructor(
    private readonly jobs: JobPresenter,
    private readonly storage: Storage,
  ) {}

  /** Of a job that succeeded. Throws `result_gone` when its picture was deleted since. */
  async images(
    job: JobRecord,
    request: CreateImageRequest,
    format: ResponseFormat = formatOf(request),
  ): Promise<ImagesReply> {
    const { data, warnings, ...reply } = await this.jobs.picture(job);
    return {
      ...reply,
      data: format === 'url' ? data : await Promise.all(data.map((one) => this.inline(one))),
      warnings: [...warnings, ...warningsOf(request)],
      ...{ background: 'opaque', output_format: outputFormatOf(job), size: data[0].size, usage: NO_TOKENS },
      quality: qualityOf(request),
    };
  }

  /** The picture itself in place of its link: clients take either, and not both. */
  private async inline(data: PictureData): Promise<ImageData> {
    const picture = await this.storage.open(data.s3_uri.replace(/^s3:\/\/[^/]+\//, ''));
    if (!picture) throw resultGone();
    return { ...data, url: undefined, b64_json: (await buffer(picture.body)).toString('base64') };
  }
}
