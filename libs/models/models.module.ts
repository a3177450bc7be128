import { Module } from '@nestjs/common';
import { ModelCatalog } from './model.catalog';
import { ModelsService } from './models.service';

/** Needs ConfigModule. */
@Module({ providers: [ModelCatalog, ModelsService], exports: [ModelCatalog, ModelsService] })
export class ModelsModule {}
