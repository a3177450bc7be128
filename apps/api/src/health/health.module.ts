import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { PipelineModule } from '@app/pipeline';
import { HealthController } from './health.controller';
import { PipelineHealth } from './pipeline.health';

@Module({
  // Probes come every few seconds: a loading model is no error to log each time.
  imports: [PipelineModule, TerminusModule.forRoot({ logger: false })],
  controllers: [HealthController],
  providers: [PipelineHealth],
})
export class HealthModule {}
