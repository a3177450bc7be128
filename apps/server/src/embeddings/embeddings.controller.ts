import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Capabilities } from '@app/jobs';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { EmbeddingsReply } from './embeddings.dto';

@ApiTags('models')
@Controller('v1/embeddings')
export class EmbeddingsController {
  constructor(private readonly capabilities: Capabilities) {}

  /** The textual inversion embeddings whose names prompts can have as words. */
  @Get()
  @RequireScope('read')
  @ApiOkResponse({ type: EmbeddingsReply, description: 'The embeddings' })
  @ApiErrors()
  listEmbeddings(): EmbeddingsReply {
    const { embeddings } = this.capabilities;
    return { object: 'list', data: embeddings.map(({ name, vectors }) => ({ name, vectors })) };
  }
}
