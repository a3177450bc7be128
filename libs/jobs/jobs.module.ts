import { randomUUID } from 'node:crypto';
import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { Config } from '@app/config';
import { StorageModule } from '@app/storage';
import { Drain } from '@app/lifecycle';
import { FleetCapabilities, type WorkerCapabilities } from './capabilities/fleet.capabilities';
import { LocalCapabilities, Capabilities } from './capabilities/capabilities';
import { ModelsModule } from '@app/models';
import { PipelineModule } from '@app/pipeline';
import { FacesModule } from '@app/faces';
import { Dispatcher } from './worker/dispatcher';
import { JobFaces } from './worker/job.faces';
import { JobFiles } from './worker/job.files';
import { ModelTurns } from './worker/model.turns';
import { PictureUploads } from './worker/picture.uploads';
import { Estimates } from './estimates';
import { JobEvents } from './job.events';
import { JobQueue } from './job.queue';
import { JobStore } from './job.store';
import { Jobs } from './jobs.service';
import { MemoryJobEvents } from './embedded/memory.job.events';
import { RedisConnection } from './redis/redis.connection';
import { RedisJobEvents } from './redis/redis.job.events';
import { RedisJobQueue } from './redis/redis.job.queue';
import { RedisJobStore } from './redis/redis.job.store';
import { RedisWorkerPresence } from './redis/redis.worker.presence';
import { RedisWatch } from './redis/redis.watch';
import { JobsDatabase } from './embedded/jobs.database';
import { SqliteJobQueue } from './embedded/sqlite.job.queue';
import { SqliteJobStore } from './embedded/sqlite.job.store';
import { JobMaintenance } from './job.maintenance';
import { Rescuer } from './rescuer';
import { WorkerAnnouncer } from './worker/announcer';

/** In DATA_DIR, of this process alone. */
const EMBEDDED: Provider[] = [
  {
    provide: JobsDatabase,
    inject: [Config],
    useFactory: ({ DATA_DIR }: Config) => JobsDatabase.open(DATA_DIR),
  },
  {
    provide: JobStore,
    inject: [JobsDatabase],
    useFactory: (database: JobsDatabase) => new SqliteJobStore(database),
  },
  {
    provide: JobQueue,
    inject: [JobsDatabase],
    useFactory: (database: JobsDatabase) => new SqliteJobQueue(database),
  },
  { provide: JobEvents, useClass: MemoryJobEvents },
];

/** In Redis, shared by any number of processes. */
const SHARED: Provider[] = [
  {
    provide: RedisConnection,
    inject: [Config],
    useFactory: ({ REDIS_URL }: Config) => new RedisConnection(REDIS_URL!),
  },
  {
    provide: JobStore,
    inject: [RedisConnection],
    useFactory: (redis: RedisConnection) => new RedisJobStore(redis),
  },
  {
    provide: JobQueue,
    inject: [RedisConnection, JobStore],
    useFactory: (redis: RedisConnection, store: RedisJobStore) => new RedisJobQueue(redis, store),
  },
  {
    provide: JobEvents,
    inject: [RedisConnection],
    useFactory: (redis: RedisConnection) => new RedisJobEvents(redis),
  },
  {
    provide: RedisWorkerPresence,
    inject: [RedisConnection],
    useFactory: (redis: RedisConnection) => new RedisWorkerPresence<WorkerCapabilities>(redis, randomUUID()),
  },
  RedisWatch,
];

/** Takes jobs and draws them. */
const DRAWS: Provider[] = [
  { provide: Capabilities, useClass: LocalCapabilities },
  ...[JobFaces, JobFiles, ModelTurns, PictureUploads, Rescuer, Dispatcher],
];

/** Leaves them to workers. */
const LEAVES: Provider[] = [
  {
    provide: FleetCapabilities,
    inject: [Config, RedisWorkerPresence],
    useFactory: (config: Config, presence: RedisWorkerPresence<WorkerCapabilities>) =>
      new FleetCapabilities(config, presence),
  },
  { provide: Capabilities, useExisting: FleetCapabilities },
];

/** Jobs, for every module: REDIS_URL says where they are kept, ROLE who draws them. Needs ConfigModule. */
@Module({})
export class JobsModule {
  static forRoot({ ROLE, REDIS_URL }: Config): DynamicModule {
    const draws = ROLE !== 'api';
    const providers = [
      ...(REDIS_URL ? SHARED : EMBEDDED),
      ...(draws ? DRAWS : LEAVES),
      ...(draws && REDIS_URL ? [WorkerAnnouncer] : []),
      Drain,
      Estimates,
      Jobs,
      JobMaintenance,
    ];
    return {
      module: JobsModule,
      global: true,
      imports: [ModelsModule, StorageModule, ...(draws ? [FacesModule, PipelineModule] : [])],
      providers,
      exports: [
        ...[Drain, JobEvents, Jobs, Capabilities, ModelsModule],
        ...(draws ? [PictureUploads] : [FleetCapabilities]),
        ...(REDIS_URL ? [RedisConnection] : []),
      ],
    };
  }
}
