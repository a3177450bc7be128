import { Module } from '@nestjs/common';
import { ModelsService } from './models.service';

/** Needs ConfigModule. */
@Module({ providers: [ModelsService], exports: [ModelsService] })
export class ModelsModule {}
