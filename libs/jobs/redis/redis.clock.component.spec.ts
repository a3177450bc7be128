import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import { REDIS_SERVER, RedisServer } from '../../../test/support/redis.server';
import { describeWith } from '../../../test/support/requires';
import { JobMaintenance } from '../job.maintenance';
import { RedisConnection } from './redis.connection';
import { RedisJobEvents } from './redis.job.events';
import { RedisJobQueue } from './redis.job.queue';
import { RedisJobStore } from './redis.job.store';

const HOUR = 3600 * 1000;

describeWith(REDIS_SERVER, 'A process whose clock is wrong', () => {
  let server: RedisServer;
  let desk: JobDesk;
  let maintenance: JobMaintenance;

  beforeEach(async () => {
    server = await RedisServer.start();
    const redis = new RedisConnection(server.url);
    const store = new RedisJobStore(redis);
    desk = new JobDesk({ JOB_TTL: 3600 }, undefined, {
      ...{ store, queue: new RedisJobQueue(redis, store), events: new RedisJobEvents(redis) },
      close: () => redis.close(),
    });
    maintenance = new JobMaintenance(desk.config, desk.jobs, desk.store, desk.storage);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await maintenance.beforeApplicationShutdown();
    await desk.close();
    await server.stop();
  });

  it.each([-2, 2])('should neither expire nor forget jobs, and draw them, %d hours off', async (hours) => {
    const [first, second] = [await desk.submit('first'), await desk.submit('second')];
    await desk.jobs.cancel(first.id);
    const right = Date.now.bind(Date);
    const rightNow = right();
    jest.spyOn(Date, 'now').mockImplementation(() => right() + hours * HOUR);
    expect(Math.abs((await desk.jobs.now()) - rightNow)).toBeLessThan(HOUR);
    const looks = [jest.spyOn(desk.store, 'overdue'), jest.spyOn(desk.store, 'finishedBefore')];
    maintenance.onApplicationBootstrap();
    await until(() => looks.every(({ mock }) => mock.results.length > 0));
    for (const { mock } of looks) expect(await mock.results[0].value).toEqual([]);
    desk.dispatcher.onApplicationBootstrap();
    (await desk.drawing()).finish();
    const ended = await desk.ended(second);
    expect(ended).toMatchObject({ state: 'succeeded', attempts: 1 });
    expect(ended.finishedAt! - rightNow).toBeLessThan(HOUR);
    expect(ended.result!.timings.total_ms).toBeLessThan(HOUR);
    expect(await desk.store.find(first.id)).toBeDefined();
  });
});
