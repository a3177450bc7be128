import { Inject, Module } from '@nestjs/common';
import { Config } from '@app/config';
import { Capabilities } from '@app/jobs';
import { StorageModule } from '@app/storage';
import { JobRoutesModule } from '../jobs/job.routes.module';
import { Metrics } from '../metrics/metrics';
import { ModelRoutesModule } from '../models/models.module';
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
import { readStyles } from './style.file';
import { Styles } from './styles';
import { StylesController } from './styles.controller';

@Module({
  imports: [JobRoutesModule, ModelRoutesModule, StorageModule, UsersModule, WebhooksModule],
  controllers: [ImagesController, StylesController],
  providers: [
    ...[Drawings, ImagesService, JobDrafter, JobInputs, PictureAnswers, ReferenceFetcher, ResultFiles],
    {
      provide: Styles,
      inject: [Config, Capabilities],
      useFactory: async (config: Config, capabilities: Capabilities) =>
        new Styles(await readStyles(config), config, capabilities),
    },
  ],
  exports: [Drawings, ImagesService, ModelRoutesModule, PictureAnswers, ResultFiles],
})
export class ImagesModule {
  constructor(references: ReferenceFetcher, metrics: Metrics, @Inject(TRACING) tracing?: Tracing) {
    references.watch = (host) => {
      const call = tracing?.fetch(host);
      return {
        headers: call?.headers,
        end: (outcome) => {
          metrics.referenceFetches.inc({ outcome });
          call?.end(outcome === 'fetched' ? '200' : outcome);
        },
      };
    };
  }
}
