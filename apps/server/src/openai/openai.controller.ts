import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { TakesJson } from '../http/json.body';
import { ImagesService } from '../images/images.service';
import { MakesPicture } from '../images/makes.picture';
import { PictureAnswers } from '../images/picture.answers';
import { PictureContext, type RequestContext } from '../images/request.context';
import { ImagesPresenter } from './images.presenter';
import { ModelNames } from './model.names';
import { CreateImageRequest, ImagesReply, toGeneration } from './openai.dto';

/** The picture routes that are OpenAI's as well. */
@ApiTags('images')
@Controller('v1/images')
export class OpenAiController {
  constructor(
    private readonly images: ImagesService,
    private readonly models: ModelNames,
    private readonly answers: PictureAnswers,
    private readonly presenter: ImagesPresenter,
  ) {}

  /** A picture from a prompt, on request drawn from a picture at an address. Takes what OpenAI's clients send. */
  @Post('generations')
  @HttpCode(200)
  @TakesJson()
  @MakesPicture({ type: ImagesReply }, 'model_not_found')
  async generations(
    @Body() request: CreateImageRequest,
    @PictureContext() call: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ImagesReply> {
    this.models.check(request.model);
    const outcome = await this.images.generations(toGeneration(request), call);
    return this.answers.of(outcome, response, (job) => this.presenter.images(job, request));
  }
}
