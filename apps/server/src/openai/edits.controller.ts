import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiExtraModels, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { TakesForm } from '../docs/forms';
import { inWordsOf } from '../errors/callers.names';
import { ImagesService, type PictureOutcome } from '../images/images.service';
import { AnswersPicture } from '../images/makes.picture';
import { PictureAnswers } from '../images/picture.answers';
import { PictureContext, type RequestContext } from '../images/request.context';
import { TakesEdit } from './edits.body';
import { EditImageRequest } from './edits.dto';
import { toEdit, type Edit } from './edits.translation';
import { IMAGE_EVENTS, imagesContent } from './image.events.dto';
import { ImageStreams } from './image.streams';
import { ImagesPresenter } from './images.presenter';
import { assertStreamable, ImagesReply } from './openai.dto';

@ApiTags('images')
@Controller('v1/images')
export class EditsController {
  constructor(
    private readonly images: ImagesService,
    private readonly answers: PictureAnswers,
    private readonly presenter: ImagesPresenter,
    private readonly streams: ImageStreams,
  ) {}

  /** A picture changed by a prompt, or the part of it that a mask tells. Takes what OpenAI's clients send. */
  @Post('edits')
  @HttpCode(200)
  @TakesEdit()
  @TakesForm({ many: ['image'], one: ['mask'] })
  @ApiExtraModels(ImagesReply, ...IMAGE_EVENTS)
  @AnswersPicture({ content: imagesContent('image_edit') })
  async edits(
    @Body() request: EditImageRequest,
    @PictureContext() call: RequestContext,
    @Res() response: Response,
  ): Promise<void> {
    assertStreamable(request);
    const edit = toEdit(request);
    // They were copied from it.
    response.req.body = undefined;
    if (request.stream) {
      const waits = { ...call, prefer: { respondAsync: false } };
      return this.streams.serve('image_edit', edit.wanted, response, (onAccepted) =>
        this.draw(edit, { ...waits, onAccepted }),
      );
    }
    const outcome = await this.draw(edit, call);
    response.json(await this.answers.of(outcome, response, (job) => this.presenter.images(job, edit.wanted)));
  }

  private async draw({ wanted, names }: Edit, call: RequestContext): Promise<PictureOutcome> {
    try {
      return await this.images.generations(wanted, call);
    } catch (error) {
      throw inWordsOf(names, error);
    }
  }
}
