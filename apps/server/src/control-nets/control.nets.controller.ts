import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Capabilities } from '@app/jobs';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { ControlNetsReply } from './control.nets.dto';

@ApiTags('models')
@Controller('v1/control-nets')
export class ControlNetsController {
  constructor(private readonly capabilities: Capabilities) {}

  /** The ControlNets by which a picture can guide another. */
  @Get()
  @RequireScope('read')
  @ApiOkResponse({ type: ControlNetsReply, description: 'The ControlNets' })
  @ApiErrors()
  listControlNets(): ControlNetsReply {
    return { object: 'list', data: this.capabilities.controlNets.map((name) => ({ name })) };
  }
}
