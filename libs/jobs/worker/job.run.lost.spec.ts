import { setTimeout as sleep } from 'node:timers/promises';
import { JobDesk } from '../../../test/support/job.desk';
import * as to from '../job.transitions';
import { JobRun } from './job.run';

/** Long enough for anything that must not happen. */
const MOMENT = 60;

describe(`${JobRun.name} whose job another worker has by now`, () => {
  let desk: JobDesk;
  /** The job's lock ran out: another worker is handed it and begins it. */
  const goesOn = async (id: string) => {
    const now = Date.now();
    await desk.store.update(id, to.giveBack(1, now));
    return desk.store.update(id, to.start(now));
  };

  beforeEach(() => {
    desk = new JobDesk();
  });
  afterEach(() => desk.close());

  it.each(['noticed', 'unnoticed'])('should not give it back at a shutdown, the loss %s', async (loss) => {
    desk.dispatcher.onApplicationBootstrap();
    const job = await desk.submit('lost');
    await desk.drawing();
    const others = await goesOn(job.id);
    expect(others).toMatchObject({ state: 'running', attempts: 2 });
    if (loss === 'noticed') desk.queue.lose(job.id);
    await desk.dispatcher.beforeApplicationShutdown();
    expect(await desk.store.find(job.id)).toEqual(others);
    expect(desk.storage.keys).toEqual([]);
    if (loss === 'noticed') expect(desk.queue.released).toEqual([]);
  });

  it('should not take it for an orphan when the lease was lost before its record was read', async () => {
    const job = await desk.submit('lost early');
    const others = await desk.store.update(job.id, to.start(Date.now()));
    const ended = jest.fn(() => Promise.resolve());
    jest.spyOn(desk.queue, 'start').mockResolvedValue();
    jest
      .spyOn(desk.queue, 'take')
      .mockResolvedValueOnce({ id: job.id, lost: AbortSignal.abort(), done: ended, release: ended });
    desk.dispatcher.onApplicationBootstrap();
    await sleep(MOMENT);
    expect(await desk.store.find(job.id)).toEqual(others);
    expect(ended).not.toHaveBeenCalled();
    expect(desk.drawn).toEqual([]);
  });
});
