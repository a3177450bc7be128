import { Module, type DynamicModule } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { tracesAddress, type Config } from '@app/config';
import { Jobs } from '@app/jobs';
import { PipelineModule, PipelineService } from '@app/pipeline';
import { TRACING, type Tracing } from './tracing';

/** OpenTelemetry, which is not even loaded without an address for its traces. */
@Module({})
export class TracingModule {
  static forRoot(config: Config): DynamicModule {
    const address = tracesAddress(config);
    const open = async (
      jobs: Jobs,
      adapter: HttpAdapterHost,
      pipeline?: PipelineService,
    ): Promise<Tracing> => {
      const { OpenTelemetry, otlpExporter } = await import('./open.telemetry.js');
      return new OpenTelemetry(await otlpExporter(address!, config), jobs, adapter, pipeline);
    };
    const inject = [Jobs, HttpAdapterHost, { token: PipelineService, optional: true }];
    return {
      module: TracingModule,
      global: true,
      imports: config.ROLE === 'api' ? [] : [PipelineModule],
      providers: [
        address ? { provide: TRACING, inject, useFactory: open } : { provide: TRACING, useValue: undefined },
      ],
      exports: [TRACING],
    };
  }
}
