import { Module } from '@nestjs/common';
import { PipelineModule } from '@app/pipeline';
import { StorageModule } from '@app/storage';
import { UsersModule } from '../users/users.module';
import { ImagesController } from './images.controller';
import { ImagesService } from './images.service';
import { Links } from './links';
import { LorasController } from './loras.controller';
import { ReferenceFetcher } from './reference.fetcher';
import { ResultsController } from './results.controller';

@Module({
  imports: [PipelineModule, StorageModule, UsersModule],
  controllers: [ImagesController, LorasController, ResultsController],
  providers: [ImagesService, Links, ReferenceFetcher],
})
export class ImagesModule {}
