import { Module } from '@nestjs/common';
import { ModelNames } from './model.names';
import { ModelsController } from './models.controller';

/** GET /v1/models. */
@Module({ controllers: [ModelsController], providers: [ModelNames], exports: [ModelNames] })
export class ModelRoutesModule {}
