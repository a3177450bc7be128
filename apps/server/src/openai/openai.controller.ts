import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiExtraModels, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { ImagesService } from '../images/images.service';
import { MakesPicture } from '../images/makes.picture';
import { PictureAnswers } from '../images/picture.answers';
import { PictureContext, type RequestContext } from '../images/request.context';
import { IMAGE_EVENTS, imagesContent } from './image.events.dto';
import { ImageStreams } from './image.streams';
import { ImagesPresenter } from './images.presenter';
import { assertStreamable, CreateImageRequest, ImagesReply, toGeneration } from './openai.dto';

/** The picture routes that are OpenAI's as well. */
@ApiTags('images')
@Controller('v1/images')
export class OpenAiController {
  constructor(
    private readonly images: ImagesService,
    private readonly answers: PictureAnswers,
    private readonly presenter: ImagesPresenter,
    private readonly streams: ImageStreams,
  ) {}

  /** A picture from a prompt, on request drawn from a picture at an address. Takes what OpenAI's clients send. */
  @Post('generations')
  @HttpCode(200)
  @ApiExtraModels(ImagesReply, ...IMAGE_EVENTS)
  @MakesPicture({ content: imagesContent('image_generation') })
  async generations(
    @Body() request: CreateImageRequest,
    @PictureContext() call: RequestContext,
    @Res() response: Response,
  ): Promise<void> {
    assertStreamable(request);
    const wanted = toGeneration(request);
    if (request.stream) {
      const waits = { ...call, prefer: { respondAsync: false } };
      return this.streams.serve('image_generation', request, response, (onAccepted) =>
        this.images.generations(wanted, { ...waits, onAccepted }),
      );
    }
    const outcome = await this.images.generations(wanted, call);
    response.json(await this.answers.of(outcome, response, (job) => this.presenter.images(job, request)));
  }
}
