import { Module } from '@nestjs/common';
import { ModelsModule } from '@app/models';
import { StorageModule } from '@app/storage';
import { LoraMirror } from './lora.mirror';
import { PipelineService } from './pipeline.service';

@Module({
  imports: [ModelsModule, StorageModule],
  providers: [LoraMirror, PipelineService],
  exports: [PipelineService],
})
export class PipelineModule {}
