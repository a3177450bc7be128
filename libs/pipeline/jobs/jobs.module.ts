import { randomUUID } from 'node:crypto';
import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { Config } from '@app/config';
import { StorageModule } from '@app/storage';
import { Drain } from '../drain';
import { FleetOffers, type WorkerOffer } from '../fleet.offers';
import { LocalOffers, Offers } from '../offers';
import { PipelineModule } from '../pipeline.module';
import { Dispatcher } from './dispatcher';
import { Estimates } from './estimates';
import { JobEvents } from './job.events';
import { JobQueue } from './job.queue';
import { JobStore } from './job.store';
import { Jobs } from './jobs.service';
import { MemoryJobEvents } from './memory.job.events';
import { RedisConnection, RedisJobEvents, RedisJobQueue, RedisJobStore, RedisWorkerPresence } from './redis';
import { RedisWatch } from './redis.watch';
import { JobsDatabase, SqliteJobQueue, SqliteJobStore } from './sqlite';
import { Upkeep } from './upkeep';
import { WorkerAnnouncer } from './worker.announcer';

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
    inject: [JobsDatabase, JobStore],
    useFactory: (database: JobsDatabase, store: JobStore) => new SqliteJobQueue(database, store),
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
    useFactory: (redis: RedisConnection) => new RedisWorkerPresence<WorkerOffer>(redis, randomUUID()),
  },
  RedisWatch,
];

/** Takes jobs and draws them. */
const DRAWS: Provider[] = [{ provide: Offers, useClass: LocalOffers }, Dispatcher];

/** Leaves them to workers. */
const LEAVES: Provider[] = [
  {
    provide: FleetOffers,
    inject: [Config, RedisWorkerPresence],
    useFactory: (config: Config, presence: RedisWorkerPresence<WorkerOffer>) =>
      new FleetOffers(config, presence),
  },
  { provide: Offers, useExisting: FleetOffers },
];

/** Jobs, for every module: REDIS_URL says where they lie, ROLE who draws them. Needs ConfigModule. */
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
      Upkeep,
    ];
    return {
      module: JobsModule,
      global: true,
      imports: [StorageModule, ...(draws ? [PipelineModule] : [])],
      providers,
      exports: [
        ...[Drain, JobStore, JobEvents, Jobs, Offers],
        ...(draws ? [] : [FleetOffers]),
        ...(REDIS_URL ? [RedisConnection] : []),
      ],
    };
  }
}
