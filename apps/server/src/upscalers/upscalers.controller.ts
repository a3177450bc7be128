import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Capabilities } from '@app/jobs';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { UpscalersReply } from './upscalers.dto';

@ApiTags('models')
@Controller('v1/upscalers')
export class UpscalersController {
  constructor(private readonly capabilities: Capabilities) {}

  /** The upscalers that requests can name, beside those of `hires.upscaler` that every service has. */
  @Get()
  @RequireScope('read')
  @ApiOkResponse({ type: UpscalersReply, description: 'The upscalers' })
  @ApiErrors('storage_unavailable')
  async listUpscalers(): Promise<UpscalersReply> {
    const upscalers = await this.capabilities.upscalers();
    // The path stays inside.
    return { object: 'list', data: upscalers.map(({ name, factor }) => ({ name, factor })) };
  }
}
