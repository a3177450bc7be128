import { Module } from '@nestjs/common';
import { LinksModule } from '../results/links.module';
import { EventStreams, HEARTBEAT } from './event.streams';
import { JobPresenter } from './job.presenter';
import { JobsController } from './jobs.controller';

/** /v1/jobs, and how jobs are shown. The jobs themselves are libs/jobs. */
@Module({
  imports: [LinksModule],
  controllers: [JobsController],
  providers: [EventStreams, JobPresenter, { provide: HEARTBEAT, useValue: 15_000 }],
  exports: [HEARTBEAT, JobPresenter],
})
export class JobRoutesModule {}
