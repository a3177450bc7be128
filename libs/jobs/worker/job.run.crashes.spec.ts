import { JobDesk } from '../../../test/support/job.desk';
import { EngineCrashed } from '@app/pipeline';
import { JobRun } from './job.run';

const crash = (begun = true) => new EngineCrashed('SIGKILL', begun, ['last words']);

describe(`${JobRun.name} when engines die`, () => {
  let desk: JobDesk;

  beforeEach(() => {
    desk = new JobDesk();
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(() => desk.close());

  it('should draw the picture again after the first time', async () => {
    const job = await desk.submit('unlucky');
    (await desk.drawing()).fail(crash());
    (await desk.drawing()).finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 2, crashes: 1 });
    expect(desk.drawn).toEqual(['unlucky', 'unlucky']);
    // With the lease that it had: on Redis one that is done never comes again.
    expect(desk.queue.taken).toEqual([job.id]);
    expect(desk.storage.keys).toEqual([job.picture.key]);
  });

  it('should give the job up after the second time, and go on with the next', async () => {
    const deadly = await desk.submit('deadly');
    const next = await desk.submit('next');
    let deaths = 0;
    for (let i = 0; i < 3; i++) {
      const drawing = await desk.drawing();
      if (drawing.prompt === 'next') drawing.finish();
      else drawing.fail(crash());
      if (drawing.prompt === 'deadly') deaths++;
    }
    const failed = await desk.ended(deadly);
    expect(failed).toMatchObject({
      state: 'failed',
      attempts: 2,
      crashes: 2,
      error: { code: 'engine_crashed' },
    });
    expect(failed.error?.message).not.toContain('last words');
    expect(deaths).toBe(2);
    expect(await desk.ended(next)).toMatchObject({ state: 'succeeded', crashes: 0 });
    expect(desk.storage.keys).toEqual([next.picture.key]);
  });

  it('should not blame the job for an engine that was dead before', async () => {
    const job = await desk.submit('innocent');
    for (let i = 0; i < 3; i++) (await desk.drawing()).fail(crash(false));
    (await desk.drawing()).finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 4, crashes: 0 });
  });

  it('should not draw a job again that was cancelled as its engine died', async () => {
    const job = await desk.submit('cancelled');
    const drawing = await desk.drawing();
    const cancelled = desk.jobs.cancel(job.id);
    drawing.fail(crash());
    await cancelled;
    const next = await desk.submit('next');
    (await desk.drawing()).finish();
    await desk.ended(next);
    expect(desk.drawn).toEqual(['cancelled', 'next']);
    expect(await desk.store.find(job.id)).toMatchObject({ state: 'cancelled', crashes: 0 });
  });

  it('should fail with internal_error, and not with its words, after a defect', async () => {
    const job = await desk.submit('defect');
    (await desk.drawing()).fail(new TypeError('secret'));
    const { state, error } = await desk.ended(job);
    expect(state).toBe('failed');
    expect(error?.code).toBe('internal_error');
    expect(error?.message).not.toContain('secret');
  });
});
