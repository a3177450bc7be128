import { Module } from '@nestjs/common';
import { StorageModule } from '@app/storage';
import { LinksModule } from './links.module';
import { ResultsController } from './results.controller';

/** GET /images/{key}. */
@Module({ imports: [LinksModule, StorageModule], controllers: [ResultsController] })
export class ResultsModule {}
