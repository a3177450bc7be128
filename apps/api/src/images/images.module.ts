import { Module } from '@nestjs/common';
import { StorageModule } from '@app/storage';
import { JobRoutesModule } from '../jobs/job.routes.module';
import { LinksModule } from '../links/links.module';
import { UsersModule } from '../users/users.module';
import { WebhooksModule } from '../webhooks/webhooks.module';
import { ImagesController } from './images.controller';
import { ImagesService } from './images.service';
import { JobWriter } from './job.writer';
import { LorasController } from './loras.controller';
import { ReferenceFetcher } from './reference.fetcher';
import { ResultsController } from './results.controller';

@Module({
  imports: [JobRoutesModule, LinksModule, StorageModule, UsersModule, WebhooksModule],
  controllers: [ImagesController, LorasController, ResultsController],
  providers: [ImagesService, JobWriter, ReferenceFetcher],
})
export class ImagesModule {}
