import { Module } from '@nestjs/common';
import { ModelsModule } from '@app/models';
import { PipelineService } from './pipeline.service';

@Module({
  imports: [ModelsModule],
  providers: [PipelineService],
  exports: [PipelineService],
})
export class PipelineModule {}
