import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Config } from '@app/config';
import { Capabilities, type AvailableLora } from '@app/jobs';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { LoraEntry, LorasReply } from './loras.dto';

@ApiTags('models')
@Controller('v1/loras')
export class LorasController {
  constructor(
    private readonly config: Config,
    private readonly capabilities: Capabilities,
  ) {}

  /** The LoRAs that requests can name; none where they are disabled. */
  @Get()
  @RequireScope('read')
  @ApiOkResponse({ type: LorasReply, description: 'The LoRAs' })
  @ApiErrors('storage_unavailable')
  async list(): Promise<LorasReply> {
    const loras = this.config.ENABLE_LORA ? await this.capabilities.loras() : [];
    // The path stays inside.
    return { object: 'list', data: loras.map(entryOf) };
  }
}

function entryOf({ name, tensors, about }: AvailableLora): LoraEntry {
  const { title, baseModel: base_model, triggerWords: trigger_words = [] } = about ?? {};
  return { name, title, base_model, trigger_words: [...trigger_words], tensors };
}
