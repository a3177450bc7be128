import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { pinoHttp } from 'pino-http';
import { ConfigModule, loadConfig } from '@app/config';
import { Drain } from '@app/lifecycle';
import { JobEvents, Jobs } from '@app/jobs';
import { Storage } from '@app/storage';
import { ErrorFilter } from '../../apps/server/src/errors/error.filter';
import { HEARTBEAT } from '../../apps/server/src/jobs/event.streams';
import { JobRoutesModule } from '../../apps/server/src/jobs/job.routes.module';
import { RequestPipe } from '../../apps/server/src/validation/request.pipe';
import { requestLog } from '../../apps/server/src/logging';
import { EventsStub, JobsStub } from './jobs.stub';
import { MemoryStorage } from './memory.storage';

export interface JobsApi {
  readonly app: NestExpressApplication;
  readonly url: string;
  readonly jobs: JobsStub;
  readonly events: EventsStub;
  readonly drain: Drain;
  readonly storage: MemoryStorage;
}

/** The routes of jobs alone, over stubs of the jobs and their events. */
export async function startJobsApi(heartbeat = 60_000): Promise<JobsApi> {
  const jobs = new JobsStub();
  const events = new EventsStub();
  const storage = new MemoryStorage();

  @Global()
  @Module({
    providers: [{ provide: Jobs, useValue: jobs }, { provide: JobEvents, useValue: events }, Drain],
    exports: [Drain, Jobs, JobEvents],
  })
  class StubbedJobsModule {}

  const config = loadConfig({ LOG_LEVEL: 'silent', SERVICE_URL: 'https://pictures.example' });
  const module = await Test.createTestingModule({
    imports: [ConfigModule.forRoot(config), StubbedJobsModule, JobRoutesModule],
    providers: [
      { provide: APP_FILTER, useClass: ErrorFilter },
      { provide: APP_PIPE, useClass: RequestPipe },
    ],
  })
    .overrideProvider(HEARTBEAT)
    .useValue(heartbeat)
    .overrideProvider(Storage)
    .useValue(storage)
    .compile();
  const app = module.createNestApplication<NestExpressApplication>({ logger: false });
  app.use(pinoHttp(requestLog(config)));
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl(), jobs, events, storage, drain: app.get(Drain) };
}
