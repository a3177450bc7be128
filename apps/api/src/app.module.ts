import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { LoggerModule } from 'nestjs-pino';
import { ConfigModule, type Config } from '@app/config';
import { ErrorFilter } from './error.filter';
import { HealthModule } from './health/health.module';
import { ImagesModule } from './images/images.module';
import { logging } from './logging';
import { UsersModule } from './users/users.module';
import { RequestPipe } from './validation/request.pipe';
import { WelcomeController } from './welcome.controller';

@Module({})
export class AppModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.forRoot(config),
        LoggerModule.forRoot(logging(config)),
        HealthModule,
        ImagesModule,
        UsersModule,
      ],
      controllers: [WelcomeController],
      providers: [
        { provide: APP_FILTER, useClass: ErrorFilter },
        { provide: APP_PIPE, useClass: RequestPipe },
      ],
    };
  }
}
