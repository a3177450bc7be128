import { Injectable } from '@nestjs/common';
import type { JobRecord } from '@app/jobs';
import { ResultFiles } from '../images/result.files';
import { JobPresenter } from '../jobs/job.presenter';
import {
  formatOf,
  NO_TOKENS,
  qualityOf,
  warningsOf,
  type CreateImageRequest,
  type ImagesReply,
  outputFormatOf,
  type ResponseFormat,
} from './openai.dto';

/** Records -> replies as OpenAI's clients read them. */
@Injectable()
export class ImagesPresenter {
  constructor(
    private readonly jobs: JobPresenter,
    private readonly files: ResultFiles,
  ) {}

  /** Of a job that succeeded. Throws `result_gone` when its picture was deleted since. */
  async images(
    job: JobRecord,
    request: CreateImageRequest,
    format: ResponseFormat = formatOf(request),
  ): Promise<ImagesReply> {
    const { data, warnings, ...reply } = await this.jobs.picture(job);
    // Clients take the link or the picture itself, and not both.
    const files = format === 'url' ? undefined : await this.files.read(job.result!);
    const inline = files?.map((file, i) => ({
      ...data[i],
      url: undefined,
      b64_json: file.toString('base64'),
    }));
    return {
      ...reply,
      data: inline ?? data,
      warnings: [...warnings, ...warningsOf(request)],
      ...{ background: 'opaque', output_format: outputFormatOf(job), size: data[0].size, usage: NO_TOKENS },
      quality: qualityOf(request),
    };
  }
}
