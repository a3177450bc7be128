import { Module } from '@nestjs/common';
import { LorasController } from './loras.controller';

/** GET /v1/loras. */
@Module({ controllers: [LorasController] })
export class LorasModule {}
