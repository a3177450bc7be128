import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { JobPresenter } from '../jobs/job.presenter';
import { PictureReply } from '../jobs/picture.dto';
import { ImagesService, type PictureOutcome } from './images.service';
import { MakesPicture } from './makes.picture';
import { PictureAnswers } from './picture.answers';
import { PictureContext, type RequestContext } from './request.context';
import { MemoryRequest, SubjectRequest } from './user.images.dto';

/**
 * The picture routes that draw from a user's picture; the one for all is OpenAI's (openai.controller.ts). HttpCode
 * is repeated on each of them: there the swagger plugin finds it.
 */
@ApiTags('images')
@Controller('v1/images')
export class ImagesController {
  constructor(
    private readonly images: ImagesService,
    private readonly presenter: JobPresenter,
    private readonly answers: PictureAnswers,
  ) {}

  /** A picture from a prompt and the user's avatar. */
  @Post('memory')
  @HttpCode(200)
  @MakesPicture({ type: PictureReply }, 'avatar_not_found', 'style_not_found')
  async memory(
    @Body() request: MemoryRequest,
    @PictureContext() call: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PictureReply> {
    return this.answer(await this.images.memory(request, call), response);
  }

  /** A portrait from the user's photo; the prompt is that of `style`, or the service's SUBJECT_PROMPT. */
  @Post('subject')
  @HttpCode(200)
  @MakesPicture({ type: PictureReply }, 'photo_not_found', 'style_not_found')
  async subject(
    @Body() request: SubjectRequest,
    @PictureContext() call: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PictureReply> {
    return this.answer(await this.images.subject(request, call), response);
  }

  private answer(outcome: PictureOutcome, response: Response): Promise<PictureReply> {
    return this.answers.of(outcome, response, (job) => this.presenter.picture(job));
  }
}
