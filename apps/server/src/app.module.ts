import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { LoggerModule } from 'nestjs-pino';
import { ConfigModule, type Config } from '@app/config';
import { JobsModule } from '@app/jobs';
import { Automatic1111Module } from './automatic1111/automatic1111.module';
import { AuthModule } from './auth/auth.module';
import { ErrorFilter } from './errors/error.filter';
import { ControlNetsModule } from './control-nets/control.nets.module';
import { EmbeddingsModule } from './embeddings/embeddings.module';
import { HealthModule } from './health/health.module';
import { HttpModule } from './http/http.module';
import { HuggingFaceModule } from './huggingface/huggingface.module';
import { ImagesModule } from './images/images.module';
import { JobRoutesModule } from './jobs/job.routes.module';
import { JobLog } from './job.log';
import { logging } from './logging';
import { LorasModule } from './loras/loras.module';
import { MetricsModule } from './metrics/metrics.module';
import { ModelRoutesModule } from './models/models.module';
import { OpenAiModule } from './openai/openai.module';
import { ResultsModule } from './results/results.module';
import { TracingModule } from './tracing/tracing.module';
import { UpscalersModule } from './upscalers/upscalers.module';
import { UsersModule } from './users/users.module';
import { RequestPipe } from './validation/request.pipe';
import { WebhooksModule } from './webhooks/webhooks.module';
import { WelcomeController } from './welcome.controller';

/** What takes requests; a worker has none of it. */
const ROUTES = [
  Automatic1111Module,
  HuggingFaceModule,
  ImagesModule,
  JobRoutesModule,
  LorasModule,
  EmbeddingsModule,
  ControlNetsModule,
  ModelRoutesModule,
  OpenAiModule,
  ResultsModule,
  UpscalersModule,
  UsersModule,
  WebhooksModule,
];

@Module({})
export class AppModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.forRoot(config),
        HttpModule,
        LoggerModule.forRoot(logging(config)),
        JobsModule.forRoot(config),
        HealthModule.forRoot(config),
        MetricsModule.forRoot(config),
        TracingModule.forRoot(config),
        ...(config.ROLE === 'worker' ? [] : [AuthModule.forRoot(config), ...ROUTES]),
      ],
      controllers: config.ROLE === 'worker' ? [] : [WelcomeController],
      providers: [
        { provide: APP_FILTER, useClass: ErrorFilter },
        { provide: APP_PIPE, useClass: RequestPipe },
        JobLog,
      ],
    };
  }
}
