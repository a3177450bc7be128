import { setTimeout as sleep } from 'node:timers/promises';
import { draft } from '../../../test/support/jobs';
import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import { Dispatcher } from './dispatcher';

describe(`${Dispatcher.name} at shutdown`, () => {
  let desk: JobDesk;

  beforeEach(() => {
    desk = new JobDesk();
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(() => desk.close());

  it('should give the running job back without counting a crash, and not touch the waiting ones', async () => {
    const [running, ahead, waiting] = [
      await desk.submit('running'),
      await desk.submit('ahead'),
      await desk.submit('waiting'),
    ];
    await desk.drawing();
    await until(() => desk.queue.taken.length === 2);
    await desk.dispatcher.beforeApplicationShutdown();
    expect(await desk.store.find(running.id)).toMatchObject({ state: 'queued', crashes: 0, attempts: 1 });
    for (const { id } of [ahead, waiting]) {
      expect(await desk.store.find(id)).toMatchObject({ state: 'queued', crashes: 0, attempts: 0 });
    }
    expect(desk.queue.released.map(({ id }) => id).sort()).toEqual([running.id, ahead.id].sort());
    expect(desk.storage.keys).toEqual([]);
  });

  it('should take nothing more', async () => {
    await desk.dispatcher.beforeApplicationShutdown();
    const { id } = draft();
    await desk.store.accept(draft({ id }), { limit: 9 }); // by another process
    await desk.queue.add((await desk.store.find(id))!);
    await sleep(40);
    expect(desk.queue.taken).toEqual([]);
    expect(await desk.store.find(id)).toMatchObject({ state: 'queued' });
  });

  it('should not take the same jobs again and again when the pipeline stops first', async () => {
    const running = await desk.submit('running');
    const ahead = await desk.submit('ahead');
    await desk.drawing();
    await until(() => desk.queue.taken.length === 2);
    await desk.pipeline.stop();
    await until(async () => (await desk.store.find(running.id))?.state === 'queued');
    await sleep(60);
    // One more at most: the job that came back before the dispatcher had learned of the shutdown.
    expect(desk.queue.taken.length).toBeLessThanOrEqual(3);
    expect(await desk.store.find(running.id)).toMatchObject({ state: 'queued', crashes: 0 });
    expect(await desk.store.find(ahead.id)).toMatchObject({ state: 'queued', crashes: 0 });
  });

  it('should also end its loop when the pipeline stops while nothing is fetched ahead', async () => {
    const running = await desk.submit('running');
    await desk.drawing();
    await desk.pipeline.stop();
    await until(async () => (await desk.store.find(running.id))?.state === 'queued');
    await sleep(60);
    expect(desk.queue.taken.length).toBeLessThanOrEqual(2);
    expect(desk.drawn).toEqual(['running']);
  });

  it('should still store a picture that is drawn', async () => {
    const storage = desk.holdStorage();
    const job = await desk.submit('drawn');
    (await desk.drawing()).finish();
    await storage.reached;
    let down = false;
    const shutdown = desk.dispatcher.beforeApplicationShutdown().then(() => (down = true));
    await sleep(40);
    expect(down).toBe(false);
    storage.release();
    await shutdown;
    expect(await desk.store.find(job.id)).toMatchObject({ state: 'succeeded', attempts: 1 });
    expect(desk.storage.keys).toEqual([job.picture.key]);
  });

  it('should still encode and store a picture that was drawn the moment before', async () => {
    const job = await desk.submit('just drawn');
    (await desk.drawing()).finish();
    await desk.dispatcher.beforeApplicationShutdown();
    expect(await desk.store.find(job.id)).toMatchObject({ state: 'succeeded', attempts: 1 });
    expect(desk.storage.keys).toEqual([job.picture.key]);
  });

  it('should hand a job that was given back to the next process', async () => {
    const job = await desk.submit('twice');
    await desk.drawing();
    await desk.dispatcher.beforeApplicationShutdown();
    const lease = await desk.queue.take(AbortSignal.timeout(1000));
    expect(lease?.id).toBe(job.id);
  });
});
