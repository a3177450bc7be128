import { Body, Controller, HttpCode, Post, Res, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { defaultSize } from '@app/config';
import { contentTypeOf } from '@app/pictures';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { DRAWING_ERRORS } from '../errors/error.groups';
import { Drawings } from '../images/drawings';
import { TakesPictureJson } from '../images/picture.json';
import { PictureContext, type RequestContext } from '../images/request.context';
import { ModelNames } from '../models/model.names';
import { InferenceRequest } from './inference.dto';
import { namesOf, toGeneration } from './inference.translation';

/** At the service's own address: these clients post to exactly that which they are given as the model. */
@ApiTags('huggingface')
@Controller()
export class InferenceController {
  constructor(
    private readonly models: ModelNames,
    private readonly drawings: Drawings,
  ) {}

  /** A picture as its bytes: `text_to_image` and `image_to_image` of Hugging Face's InferenceClient. */
  @Post()
  @HttpCode(200)
  @RequireScope('draw')
  @TakesPictureJson()
  @ApiProduces('image/png', 'image/jpeg', 'image/webp')
  @ApiOkResponse({ schema: { type: 'string', format: 'binary' }, description: 'The picture' })
  @ApiErrors(...DRAWING_ERRORS)
  async infer(
    @Body() request: InferenceRequest,
    @PictureContext() call: RequestContext,
    @Res({ passthrough: true }) response: Response,
  ): Promise<StreamableFile> {
    const body = toGeneration(request, defaultSize(this.models.choose(undefined).config));
    Object.assign(request, { inputs: undefined }); // the wait may be long, and a picture large
    const { result, pictures } = await this.drawings.draw(body, call, namesOf(request));
    response.type(contentTypeOf(result.key));
    return new StreamableFile(pictures[0], { length: pictures[0].length });
  }
}
