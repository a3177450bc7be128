import { Inject, Module } from '@nestjs/common';
import { StorageModule } from '@app/storage';
import { JobRoutesModule } from '../jobs/job.routes.module';
import { TRACING, type Tracing } from '../tracing/tracing';
import { UsersModule } from '../users/users.module';
import { WebhooksModule } from '../webhooks/webhooks.module';
import { ImagesController } from './images.controller';
import { ImagesService } from './images.service';
import { Drawings } from './drawings';
import { JobDrafter } from './job.draft';
import { JobInputs } from './job.inputs';
import { PictureAnswers } from './picture.answers';
import { ReferenceFetcher } from './reference.fetcher';
import { ResultFiles } from './result.files';

@Module({
  imports: [JobRoutesModule, StorageModule, UsersModule, WebhooksModule],
  controllers: [ImagesController],
  providers: [Drawings, ImagesService, JobDrafter, JobInputs, PictureAnswers, ReferenceFetcher, ResultFiles],
  exports: [Drawings, ImagesService, PictureAnswers, ResultFiles],
})
export class ImagesModule {
  constructor(references: ReferenceFetcher, @Inject(TRACING) tracing?: Tracing) {
    references.onFetched = (outcome, host, begunAt) => tracing?.fetched(outcome, host, begunAt);
  }
}
