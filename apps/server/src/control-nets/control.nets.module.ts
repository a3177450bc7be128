import { Module } from '@nestjs/common';
import { ControlNetsController } from './control.nets.controller';

/** GET /v1/control-nets. */
@Module({ controllers: [ControlNetsController] })
export class ControlNetsModule {}
