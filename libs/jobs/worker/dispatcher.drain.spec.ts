import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { draft } from '../../../test/support/jobs';
import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import { EngineCrashed } from '@app/pipeline';
import { Dispatcher } from './dispatcher';

/** Long enough for anything that must not happen. */
const MOMENT = 60;

const crash = () => new EngineCrashed('SIGKILL', true, []);

describe(`${Dispatcher.name} as the process drains`, () => {
  let desk: JobDesk;

  beforeEach(() => {
    desk = new JobDesk();
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(() => desk.close());

  /** Begins the drain; tells whether the dispatcher is done. */
  const drain = () => {
    const outcome = { done: false, end: Promise.resolve() };
    outcome.end = desk.dispatcher.onModuleDestroy().then(() => void (outcome.done = true));
    return outcome;
  };
  const find = async (id: string) => (await desk.store.find(id))!;

  it('should finish what an engine draws, and leave the rest', async () => {
    const [running, ahead, waiting] = [
      await desk.submit('running'),
      await desk.submit('ahead'),
      await desk.submit('waiting'),
    ];
    const drawing = await desk.drawing();
    await until(() => desk.queue.taken.length === 2);
    const outcome = drain();
    // At once: in a fleet it is another's turn.
    await until(() => desk.queue.released.length > 0);
    expect(desk.queue.released).toEqual([{ id: ahead.id, delay: 0 }]);
    await sleep(MOMENT);
    expect(outcome.done).toBe(false);
    expect(drawing.listeners.signal?.aborted).toBe(false);
    drawing.finish();
    await outcome.end;
    expect(await find(running.id)).toMatchObject({ state: 'succeeded', attempts: 1 });
    for (const { id } of [ahead, waiting]) {
      expect(await find(id)).toMatchObject({ state: 'queued', attempts: 0 });
    }
    expect(desk.queue.taken).toEqual([running.id, ahead.id]);
    expect(desk.drawn).toEqual(['running']);
    expect(desk.storage.keys).toEqual([running.picture.key]);
  });

  it('should wait until the picture is stored', async () => {
    const storage = desk.holdStorage();
    const job = await desk.submit('drawn');
    (await desk.drawing()).finish();
    await storage.reached;
    const outcome = drain();
    await sleep(MOMENT);
    expect(outcome.done).toBe(false);
    storage.release();
    await outcome.end;
    expect(await find(job.id)).toMatchObject({ state: 'succeeded' });
  });

  it('should not wait while nothing is drawn', async () => {
    await drain().end;
    const { id } = draft();
    await desk.store.accept(draft({ id }), { limit: 9 }); // by another process
    await desk.queue.add(await find(id));
    await sleep(MOMENT);
    expect(desk.queue.taken).toEqual([]);
  });

  it('should give a job back at once that waits for an engine', async () => {
    desk.pipeline.engines = []; // loading
    const job = await desk.submit('early');
    await until(() => desk.queue.taken.length === 1);
    await sleep(MOMENT); // prepared
    await drain().end;
    expect(desk.queue.released).toEqual([{ id: job.id, delay: 0 }]);
    expect(await find(job.id)).toMatchObject({ state: 'queued', attempts: 0 });
  });

  it('should draw a picture again whose engine dies meanwhile', async () => {
    const job = await desk.submit('unlucky');
    const drawing = await desk.drawing();
    const outcome = drain();
    drawing.fail(crash());
    (await desk.drawing()).finish();
    await outcome.end;
    expect(await find(job.id)).toMatchObject({ state: 'succeeded', attempts: 2, crashes: 1 });
  });

  it('should not wait for another engine where one died before', async () => {
    const job = await desk.submit('unlucky');
    const drawing = await desk.drawing();
    desk.pipeline.engines = []; // none comes for now
    drawing.fail(crash());
    await until(async () => (await find(job.id)).state === 'queued');
    await drain().end;
    expect(await find(job.id)).toMatchObject({ state: 'queued', attempts: 1, crashes: 1 });
    expect(desk.queue.released).toEqual([{ id: job.id, delay: 0 }]);
  });

  it('should give back what still runs when the grace is over', async () => {
    const job = await desk.submit('long');
    const { listeners } = await desk.drawing();
    const outcome = drain();
    desk.drain.expire();
    await outcome.end;
    await desk.dispatcher.beforeApplicationShutdown();
    expect(listeners.signal?.aborted).toBe(true);
    expect(await find(job.id)).toMatchObject({ state: 'queued', attempts: 1, crashes: 0 });
    expect(desk.queue.released).toEqual([{ id: job.id, delay: 0 }]);
  });

  it('should let a running job be cancelled', async () => {
    const job = await desk.submit('unwanted');
    await desk.drawing();
    const outcome = drain();
    await desk.jobs.cancel(job.id);
    await outcome.end;
    expect(await find(job.id)).toMatchObject({ state: 'cancelled' });
  });

  it('should say what it waits for, and nothing when that is nothing', async () => {
    const log = jest.spyOn(Logger.prototype, 'log').mockImplementation();
    await desk.submit('watched');
    const drawing = await desk.drawing();
    const outcome = drain();
    drawing.finish();
    await outcome.end;
    expect(log.mock.calls).toEqual([
      ['Draining: waiting up to 25 s for 1 running picture; once more to end at once'],
    ]);
    const idle = new JobDesk();
    idle.dispatcher.onApplicationBootstrap();
    await idle.dispatcher.onModuleDestroy();
    expect(log).toHaveBeenCalledTimes(1);
    log.mockRestore();
    await idle.close();
  });
});
