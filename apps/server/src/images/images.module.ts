import { Module } from '@nestjs/common';
import { StorageModule } from '@app/storage';
import { JobRoutesModule } from '../jobs/job.routes.module';
import { LinksModule } from '../results/links.module';
import { UsersModule } from '../users/users.module';
import { WebhooksModule } from '../webhooks/webhooks.module';
import { ImagesController } from './images.controller';
import { ImagesService } from './images.service';
import { JobDrafter } from './job.draft';
import { LorasController } from '../loras/loras.controller';
import { ReferenceFetcher } from './reference.fetcher';
import { ResultsController } from '../results/results.controller';

@Module({
  imports: [JobRoutesModule, LinksModule, StorageModule, UsersModule, WebhooksModule],
  controllers: [ImagesController, LorasController, ResultsController],
  providers: [ImagesService, JobDrafter, ReferenceFetcher],
})
export class ImagesModule {}
