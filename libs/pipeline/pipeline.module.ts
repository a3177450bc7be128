import { Module } from '@nestjs/common';
import { ModelsModule } from '@app/models';
import { StorageModule } from '@app/storage';
import { JobRunner } from './job.runner';
import { PipelineService } from './pipeline.service';

@Module({
  imports: [ModelsModule, StorageModule],
  providers: [PipelineService, JobRunner],
  exports: [PipelineService, JobRunner],
})
export class PipelineModule {}
