import { Module } from '@nestjs/common';
import { UpscalersController } from './upscalers.controller';

/** GET /v1/upscalers. */
@Module({ controllers: [UpscalersController] })
export class UpscalersModule {}
