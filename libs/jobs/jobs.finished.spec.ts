import { JobDesk } from '../../test/support/job.desk';
import type { JobRecord } from './job.record';
import { cancel } from './job.transitions';
import { Jobs } from './jobs.service';

describe(`${Jobs.name}.finished`, () => {
  let desk: JobDesk;
  let job: JobRecord;
  const leave = new Error('The client went away');

  beforeEach(async () => {
    desk = new JobDesk();
    job = await desk.submit('awaited');
    jest.useFakeTimers({ doNotFake: ['setImmediate'] });
  });
  afterEach(async () => {
    jest.useRealTimers();
    await desk.close();
  });

  /** The outcome so far. */
  const wait = (signal = new AbortController().signal) => {
    const outcome: { state?: string; error?: unknown } = {};
    desk.jobs.finished(job.id, signal).then(
      ({ state }) => (outcome.state = state),
      (error: unknown) => (outcome.error = error),
    );
    return outcome;
  };
  const turn = () => jest.advanceTimersByTimeAsync(0);

  it('should answer at once for a job that has ended', async () => {
    await desk.jobs.cancel(job.id);
    const outcome = wait();
    await turn();
    expect(outcome).toEqual({ state: 'cancelled' });
  });

  it('should wake when the job ends, and not before', async () => {
    const outcome = wait();
    await desk.jobs.start(job.id);
    await turn();
    expect(outcome).toEqual({});
    await desk.jobs.cancel(job.id);
    await turn();
    expect(outcome).toEqual({ state: 'cancelled' });
    expect(jest.getTimerCount()).toBe(0);
  });

  it('should look again where the message was lost', async () => {
    const outcome = wait();
    await turn();
    await desk.store.update(job.id, cancel('Cancelled elsewhere', Date.now()));
    await jest.advanceTimersByTimeAsync(4900);
    expect(outcome).toEqual({});
    await jest.advanceTimersByTimeAsync(200);
    expect(outcome).toEqual({ state: 'cancelled' });
  });

  it('should end with the reason of the signal, now or later, and leave the job alone', async () => {
    const client = new AbortController();
    const [before, meanwhile] = [wait(AbortSignal.abort(leave)), wait(client.signal)];
    await turn();
    expect(before).toEqual({ error: leave });
    expect(meanwhile).toEqual({});
    client.abort(leave);
    await turn();
    expect(meanwhile).toEqual({ error: leave });
    expect(jest.getTimerCount()).toBe(0);
    expect(await desk.store.find(job.id)).toMatchObject({ state: 'queued' });
  });

  it('should still answer for a job that has ended by the moment that the signal aborts', async () => {
    const client = new AbortController();
    const outcome = wait(client.signal);
    await turn();
    await desk.store.update(job.id, cancel('Cancelled elsewhere', Date.now()));
    client.abort(leave);
    await turn();
    expect(outcome).toEqual({ state: 'cancelled' });
  });

  describe('as the process drains', () => {
    it('should end at once for a job that waits, now or later', async () => {
      const before = wait();
      await turn();
      desk.drain.begin();
      const after = wait();
      await turn();
      for (const outcome of [before, after]) expect(outcome).toMatchObject({ error: { code: 'draining' } });
    });

    it('should wait for a job that runs, also when its engine dies under it', async () => {
      await desk.jobs.start(job.id);
      const outcome = wait();
      desk.drain.begin();
      await turn();
      await desk.jobs.crash(job.id, 1);
      await turn();
      expect(outcome).toEqual({});
      await desk.jobs.start(job.id);
      await desk.jobs.fail(job.id, 2, { code: 'generation_failed', message: 'Flat' });
      await turn();
      expect(outcome).toEqual({ state: 'failed' });
    });

    it('should wait no longer than the signal allows', async () => {
      await desk.jobs.start(job.id);
      const outcome = wait(desk.drain.expired);
      desk.drain.begin();
      await jest.advanceTimersByTimeAsync(24_000);
      expect(outcome).toEqual({});
      await jest.advanceTimersByTimeAsync(1_000);
      expect(outcome).toMatchObject({ error: { code: 'draining' } });
    });
  });

  it('should end when the job is removed', async () => {
    const outcome = wait();
    await turn();
    await desk.jobs.remove(job);
    await jest.advanceTimersByTimeAsync(5100);
    expect(outcome).toMatchObject({ error: { code: 'job_not_found' } });
  });
});
