import { Module, type DynamicModule } from '@nestjs/common';
import type { Config } from '@app/config';
import { PipelineModule } from '@app/pipeline';
import { StorageModule } from '@app/storage';
import { Metrics } from './metrics';
import { MetricsController } from './metrics.controller';
import { MetricsServer } from './metrics.server';

@Module({ controllers: [MetricsController], providers: [Metrics, MetricsServer], exports: [Metrics] })
export class MetricsModule {
  static forRoot({ ROLE }: Config): DynamicModule {
    return {
      module: MetricsModule,
      global: true,
      imports: [StorageModule, ...(ROLE === 'api' ? [] : [PipelineModule])],
    };
  }
}
