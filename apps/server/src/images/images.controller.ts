import { Body, Controller, HttpCode, Post, Res, applyDecorators } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Config, pathPrefix } from '@app/config';
import { ServiceError } from '@app/errors';
import { isFinished } from '@app/jobs';
import { RequireScope } from '../auth/scope.decorators';
import { headers } from '../docs/response.headers';
import { ApiErrors } from '../errors/api.errors.dto';
import { DRAWING_ERRORS } from '../errors/error.groups';
import { JobPresenter } from '../jobs/job.presenter';
import { JobReply } from '../jobs/jobs.dto';
import { PictureReply } from '../jobs/picture.dto';
import { GenerationRequest, MemoryRequest, SubjectRequest } from './images.dto';
import { ImagesService, type PictureOutcome } from './images.service';
import { TakesPictureJson } from './picture.json';
import { PictureContext, type RequestContext } from './request.context';

// HttpCode is repeated on each route: there the swagger plugin finds it.
const MakesPicture = (...missing: ('avatar_not_found' | 'photo_not_found')[]) =>
  applyDecorators(
    RequireScope('draw'),
    TakesPictureJson(),
    ApiHeader({
      name: 'Prefer',
      required: false,
      description:
        'RFC 7240: `respond-async` answers 202 with the job at once; `wait=N` waits at most N seconds (and at most ' +
        'MAX_WAIT) for the picture, then answers 202; earlier when the service shuts down. Others are ignored.',
      schema: { type: 'string', example: 'respond-async' },
    }),
    ApiHeader({
      name: 'Idempotency-Key',
      required: false,
      description:
        'For 24 hours the same key, route and body of the same caller get the same picture, or join the job that makes ' +
        'it; 410 `result_gone` where that is no longer kept. Transient errors, cancelled and deleted jobs free the key.',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    }),
    ApiResponse({
      status: 202,
      type: JobReply,
      description: 'The job, on request by Prefer. `Location` is its address, `Preference-Applied` says why',
      headers: headers('Location', 'Preference-Applied', 'Idempotency-Replayed'),
    }),
    ApiOkResponse({
      type: PictureReply,
      description: 'The picture',
      headers: headers('Preference-Applied', 'Idempotency-Replayed'),
    }),
    ApiErrors(...missing, ...DRAWING_ERRORS),
  );

@ApiTags('images')
@Controller('v1/images')
export class ImagesController {
  constructor(
    private readonly config: Config,
    private readonly images: ImagesService,
    private readonly presenter: JobPresenter,
  ) {}

  /** A picture from a prompt and the user's avatar. */
  @Post('memory')
  @HttpCode(200)
  @MakesPicture('avatar_not_found')
  async memory(
    @Body() request: MemoryRequest,
    @PictureContext() call: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PictureReply> {
    return this.answer(await this.images.memory(request, call), response);
  }

  /** A portrait from the user's photo; the prompt is the service's SUBJECT_PROMPT. */
  @Post('subject')
  @HttpCode(200)
  @MakesPicture('photo_not_found')
  async subject(
    @Body() request: SubjectRequest,
    @PictureContext() call: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PictureReply> {
    return this.answer(await this.images.subject(request, call), response);
  }

  /** A picture from a prompt, on request drawn from a picture at an address. */
  @Post('generations')
  @HttpCode(200)
  @MakesPicture()
  async generations(
    @Body() request: GenerationRequest,
    @PictureContext() call: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PictureReply> {
    return this.answer(await this.images.generations(request, call), response);
  }

  /** A finished job is its picture or its error, any other the job itself. */
  private async answer(
    { job, replayed, preference }: PictureOutcome,
    response: Response,
  ): Promise<PictureReply> {
    if (replayed) response.setHeader('Idempotency-Replayed', 'true');
    if (preference !== undefined) response.setHeader('Preference-Applied', preference);
    if (job.state === 'succeeded') return this.presenter.picture(job);
    if (isFinished(job)) {
      const { code, message, param } = job.error!;
      throw new ServiceError(code, message, param);
    }
    response.status(202).setHeader('Location', `${pathPrefix(this.config)}/v1/jobs/${job.id}`);
    // The document describes both shapes, by status.
    return (await this.presenter.job(job)) as unknown as PictureReply;
  }
}
