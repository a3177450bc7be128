import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { loadConfig } from '@app/config';
import { FaceProcessOptions } from '@app/faces';
import { PipelineModule, PipelineService } from '@app/pipeline';
import { Storage, StorageModule } from '@app/storage';
import { setUp } from '../../apps/server/src/app';
import { AppModule } from '../../apps/server/src/app.module';
import { HttpLimits } from '../../apps/server/src/http/http.limits';
import { BoundedAdapter } from '../../apps/server/src/http/http.server';
import { UnbuiltFaceProcess } from './face.pictures';
import { PipelineStub } from './pipeline.stub';

export interface Api {
  readonly app: NestExpressApplication;
  readonly url: string;
  readonly storage: Storage;
  readonly pipeline: PipelineStub;
  close(): Promise<void>;
}

/**
 * The whole API over real local storage in a folder of its own; only the engine is a stub. At its end nothing waits for
 * pictures that are never drawn, unless DRAIN_SECONDS is given. `limits` are those of HTTP that a spec cannot wait for.
 */
export async function startApi(
  variables: Record<string, string> = {},
  limits: Partial<HttpLimits> = {},
): Promise<Api> {
  const folder = await mkdtemp(join(tmpdir(), 'api-'));
  const pipeline = new PipelineStub();

  @Module({
    imports: [StorageModule],
    providers: [{ provide: PipelineService, useValue: pipeline }],
    exports: [PipelineService],
  })
  class StubbedPipelineModule {}

  const config = loadConfig({
    DATA_DIR: folder,
    LOG_LEVEL: 'silent',
    MODEL_PATH: 'demo',
    DRAIN_SECONDS: '0',
    FACE_DETECTION: 'false', // else each application would start a process for its first picture
    RATE_LIMIT_PER_ADDRESS: '0',
    ...variables,
  });
  const httpLimits = { ...new HttpLimits(), ...limits };
  const module = await Test.createTestingModule({ imports: [AppModule.forRoot(config)] })
    .overrideModule(PipelineModule)
    .useModule(StubbedPipelineModule)
    .overrideProvider(HttpLimits)
    .useValue(httpLimits)
    .overrideProvider(FaceProcessOptions)
    .useValue(new UnbuiltFaceProcess())
    .compile();
  const app = module.createNestApplication<NestExpressApplication>(new BoundedAdapter(httpLimits), {
    bodyParser: false,
    logger: false,
  });
  setUp(app);
  const close = async () => {
    await app.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await app.listen(0, '127.0.0.1');
  } catch (error) {
    await close();
    throw error;
  }
  return { app, url: await app.getUrl(), storage: app.get(Storage, { strict: false }), pipeline, close };
}
