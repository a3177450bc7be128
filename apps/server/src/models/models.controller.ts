import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiParam, ApiTags } from '@nestjs/swagger';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { ModelEntry, ModelsReply } from './models.dto';
import { ModelNames } from './model.names';

@ApiTags('models')
@Controller('v1/models')
export class ModelsController {
  constructor(private readonly models: ModelNames) {}

  /** The names that a request's `model` can have. */
  @Get()
  @RequireScope('read')
  @ApiOkResponse({ type: ModelsReply, description: 'The models' })
  @ApiErrors()
  listModels(): ModelsReply {
    return { object: 'list', data: this.models.list() };
  }

  /** One of them. */
  @Get('*model')
  @RequireScope('read')
  @ApiParam({
    ...{ name: 'model', type: String, example: 'stabilityai/stable-diffusion-xl-base-1.0' },
    description: 'Its name; a slash in it may be encoded, as `%2F`',
  })
  @ApiOkResponse({ type: ModelEntry, description: 'The model' })
  @ApiErrors('invalid_request', 'model_not_found')
  getModel(@Param('model') segments: string[]): ModelEntry {
    return this.models.get(segments.join('/'));
  }
}
