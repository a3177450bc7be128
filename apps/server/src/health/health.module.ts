import { Module, type DynamicModule } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import type { Config } from '@app/config';
import { PipelineModule } from '@app/pipeline';
import { StorageModule } from '@app/storage';
import { DrawingReadiness } from './drawing.readiness';
import { HealthController } from './health.controller';
import { PipelineHealth } from './pipeline.health';
import { Readiness } from './readiness';
import { RecordsHealth } from './records.health';
import { ServingReadiness } from './serving.readiness';
import { StorageHealth } from './storage.health';

@Module({
  // Probes come every few seconds: a loading model is no error to log each time.
  imports: [TerminusModule.forRoot({ logger: false }), StorageModule],
  controllers: [HealthController],
  providers: [RecordsHealth, StorageHealth],
})
export class HealthModule {
  static forRoot({ ROLE }: Config): DynamicModule {
    return ROLE === 'api'
      ? { module: HealthModule, providers: [{ provide: Readiness, useClass: ServingReadiness }] }
      : {
          module: HealthModule,
          imports: [PipelineModule],
          providers: [PipelineHealth, { provide: Readiness, useClass: DrawingReadiness }],
        };
  }
}
