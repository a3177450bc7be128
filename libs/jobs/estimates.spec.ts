import { stepPixels, textPieces } from '@app/models/family';
import { JobDesk } from '../../test/support/job.desk';
import type { PictureResult, Timings } from './picture.job';
import { Estimates } from './estimates';
import type { JobRecord } from './job.record';

const NOW = 1_800_000_000_000;

/** A picture's size, 64 x 64 and 4 steps where it is not said. */
type Size = Partial<JobRecord['picture']>;

/** Times of one picture; all that is neither sampling nor prompts is counted as one. */
const timed = (sampling_ms: number, fixed = 0): Timings => ({
  ...{ queue_ms: 99_999, total_ms: 99_999, sampling_ms },
  ...{ text_ms: 0, image_ms: 0, decode_ms: fixed, encode_ms: 0, store_ms: 0 },
});

describe(Estimates.name, () => {
  let desk: JobDesk;
  const capabilities = { engines: 1 };

  const run = async (size: Size = {}) => {
    const { id } = await desk.submit('run', { picture: size });
    return (await desk.jobs.start(id))!;
  };
  const measured = async (timings: Timings, size: Size = {}, others: Partial<PictureResult> = {}) => {
    const { id, picture } = await run(size);
    const result = { key: picture.key, s3_uri: '', seed: 1, size: '', timings, warnings: [] };
    await desk.jobs.succeed(id, 1, { ...result, ...others });
  };
  /** Milliseconds from now. */
  const of = async (job: JobRecord) => {
    const { position, startAt, endAt } = await desk.estimates.of(job);
    return { position, start: startAt && startAt - NOW, end: endAt && endAt - NOW };
  };

  beforeEach(() => {
    jest.useFakeTimers({ now: NOW, doNotFake: ['setImmediate'] });
    capabilities.engines = 1;
    desk = new JobDesk({}, capabilities);
  });
  afterEach(async () => {
    jest.useRealTimers();
    await desk.close();
  });

  it('should tell no times before a picture was made, only the position', async () => {
    await run();
    const [first, second] = [await desk.submit('first'), await desk.submit('second')];
    expect(await desk.estimates.of(first)).toEqual({ position: 1 });
    expect(await desk.estimates.of(second)).toEqual({ position: 2 });
    expect(await desk.estimates.untilPlace()).toBe(30);
  });

  it('should take the steps times a step, and everything else', async () => {
    await measured({ ...timed(400), text_ms: 1, image_ms: 2, decode_ms: 4, encode_ms: 8, store_ms: 16 });
    expect(await of(await desk.submit('a'))).toEqual({ position: 1, start: 0, end: 431 });
    expect((await of(await desk.submit('b', { picture: { steps: 8 } }))).end).toBe(431 + 831);
  });

  it('should count every picture of a batch, and its prompts once', async () => {
    await measured({ ...timed(4 * 400, 4 * 100), text_ms: 20 }, { count: 4 });
    expect((await of(await desk.submit('a'))).end).toBe(20 + 500);
    const batch = await of(await desk.submit('b', { picture: { count: 3 } }));
    expect(batch).toMatchObject({ start: 520, end: 520 + 20 + 3 * 500 });
    expect((await of(await desk.submit('c'))).start).toBe(batch.end);
  });

  it('should count every candidate that may be drawn, by those that were', async () => {
    const two = { ...timed(2 * 400, 2 * 60), faces_ms: 80, text_ms: 2 * 20 };
    await measured(two, { candidates: 3 }, { tries: 2 });
    expect((await of(await desk.submit('a'))).end).toBe(20 + 500);
    const next = await of(await desk.submit('b', { picture: { candidates: 3 } }));
    expect(next).toMatchObject({ start: 520, end: 520 + 20 + 3 * 500 });
    expect((await of(await desk.submit('c'))).start).toBe(next.end);
  });

  it('should count the faces that may be painted, by those that were', async () => {
    const faceDetail = { steps: 8, strength: 0.5 }; // 5 steps of one as large
    await measured(timed(400), { faceDetail }, { paintedFaces: 0 });
    expect((await of(await desk.submit('a'))).end).toBe(400);
    const next = await of(await desk.submit('b', { picture: { faceDetail } }));
    expect(next).toMatchObject({ start: 400, end: 400 + 900 });
    await measured(timed(900), { faceDetail }); // by a worker that does not tell: it was painted
    expect(await of(await desk.submit('c'))).toMatchObject({ start: 1300, end: 1300 + 400 });
  });

  it('should grow with the prompts: with what each piece takes, and each step for it', async () => {
    await measured({ ...timed(400, 100), text_ms: 20 });
    const end = async (picture: Size) => {
      const job = await desk.submit('a', { picture });
      const { end } = await of(job);
      await desk.jobs.cancel(job.id);
      return end!;
    };
    expect(await end({})).toBe(520);
    expect(await end({ width: 128 })).toBe(20 + 2 * 500); // the text is no longer for it
    const pieces = textPieces('a BREAK '.repeat(20), '');
    const long = { prompt: 'a BREAK '.repeat(20) };
    expect(await end(long)).toBeCloseTo(pieces * 10 + 100 + (400 * stepPixels(4096, pieces)) / 4096, 0);
    expect(await end(long)).toBeGreaterThan(5_000);
    // What waits before it is as usual as far as the store knows; what runs is known.
    expect((await of(await run(long))).end).toBe(await end(long));
  });

  it('should outvote a slow moment', async () => {
    for (const sampling of [400, 90_000, 440, 420, 380]) await measured(timed(sampling, sampling / 4));
    expect((await of(await desk.submit('a'))).end).toBe(420 + 105);
  });

  it('should take the middle of an even number', async () => {
    for (const sampling of [400, 800]) await measured(timed(sampling));
    expect((await of(await desk.submit('a'))).end).toBe(600);
  });

  it('should go by the same size where there is one, else scale the nearest by its pixels', async () => {
    await measured(timed(400, 100));
    await measured(timed(8000, 1000), { width: 256, height: 256 });
    const end = async (width: number, height: number) => {
      const job = await desk.submit('a', { picture: { width, height } });
      const { end } = await of(job);
      await desk.jobs.cancel(job.id);
      return end;
    };
    expect(await end(64, 64)).toBe(500);
    expect(await end(256, 256)).toBe(9000);
    expect(await end(64, 128)).toBe(1000);
    expect(await end(256, 512)).toBe(18_000);
  });

  it('should keep pictures with a reference apart', async () => {
    await measured(timed(400));
    await measured(timed(400, 700), { referenceKey: 'inputs/a.png' });
    expect((await of(await desk.submit('plain'))).end).toBe(400);
    const reference = await desk.submit('reference', { picture: { referenceKey: 'inputs/b.png' } });
    expect((await of(reference)).end).toBe(400 + 1100);
  });

  it('should count changes of the merged LoRAs as often as they come, and for what they take', async () => {
    const changed = { mergedAnew: true } as const;
    // 5,000 more, some in each part.
    await measured(timed(2_400, 3_100), {}, changed);
    const job = await desk.submit('a');
    expect((await of(job)).end).toBe(5_500);
    for (let i = 0; i < 3; i++) await measured(timed(400, 100));
    jest.advanceTimersByTime(1_001);
    // One of four.
    expect((await of(job)).end).toBe(1_001 + 500 + 1_250);
    const large = await desk.submit('large', { picture: { width: 128 } });
    const { start, end } = await of(large);
    // The weights are no larger for it.
    expect(end! - start!).toBe(1_000 + 1_250);
  });

  it('should go by the other kind where its own was never made', async () => {
    await measured(timed(400));
    const reference = await desk.submit('reference', { picture: { referenceKey: 'inputs/b.png' } });
    expect((await of(reference)).end).toBe(400);
  });

  it('should wait for what is queued before it and what is left of what runs', async () => {
    await measured(timed(400, 100));
    await run();
    jest.setSystemTime(NOW + 200);
    await desk.submit('before');
    const job = await desk.submit('mine');
    await desk.submit('after');
    const wait = 300 + 500;
    expect(await of(job)).toEqual({ position: 2, start: 200 + wait, end: 200 + wait + 500 });
  });

  it('should share the work among the engines', async () => {
    await measured(timed(400));
    for (const prompt of ['a', 'b', 'c', 'd']) await desk.submit(prompt);
    const job = await desk.submit('mine');
    expect((await of(job)).start).toBe(1600);
    capabilities.engines = 4;
    expect(await of(job)).toEqual({ position: 5, start: 400, end: 800 });
  });

  it('should tell when a running job began and ends, never in the past', async () => {
    await measured(timed(400));
    const job = await run();
    jest.setSystemTime(NOW + 100);
    expect(await of(job)).toEqual({ position: undefined, start: 0, end: 400 });
    jest.setSystemTime(NOW + 5000);
    expect((await of(job)).end).toBe(5000);
  });

  it('should tell nothing of a finished job', async () => {
    await measured(timed(400));
    const job = await desk.submit('over');
    expect(await desk.estimates.of(await desk.jobs.cancel(job.id))).toEqual({});
  });

  it('should tell whole seconds until the first running job ends, one at least', async () => {
    await measured(timed(4000));
    await run({ steps: 40 });
    await run({ steps: 8 });
    expect(await desk.estimates.untilPlace()).toBe(8);
    jest.setSystemTime(NOW + 5500);
    expect(await desk.estimates.untilPlace()).toBe(3);
    jest.setSystemTime(NOW + 60_000);
    expect(await desk.estimates.untilPlace()).toBe(1);
  });

  it('should read the records at most once a second, and again after they could not be read', async () => {
    const list = jest.spyOn(desk.store, 'list').mockRejectedValueOnce(new Error('away'));
    await expect(desk.estimates.untilPlace()).rejects.toThrow('away');
    await desk.estimates.untilPlace();
    await desk.estimates.untilPlace();
    expect(list).toHaveBeenCalledTimes(4);
    jest.advanceTimersByTime(1001);
    await desk.estimates.untilPlace();
    expect(list).toHaveBeenCalledTimes(6);
  });

  it('should read the queue once for all who ask within a second, and again for a job that came since', async () => {
    const queued = jest.spyOn(desk.store, 'queued');
    const jobs: JobRecord[] = [];
    for (let n = 0; n < 5; n++) jobs.push(await desk.submit(`job ${n}`));
    const positions = (of: readonly JobRecord[]) =>
      Promise.all(of.map(async (job) => (await desk.estimates.of(job)).position));
    const lists = await Promise.all(Array.from({ length: 40 }, () => positions(jobs)));
    for (const list of lists) expect(list).toEqual([1, 2, 3, 4, 5]);
    expect(queued).toHaveBeenCalledTimes(1);

    const late = [await desk.submit('late'), await desk.submit('later')];
    expect(await positions(late)).toEqual([6, 7]);
    await desk.jobs.cancel(jobs[0].id);
    // As old as it may be.
    expect(await positions(late)).toEqual([6, 7]);
    expect(queued).toHaveBeenCalledTimes(2);
    jest.advanceTimersByTime(1_001);
    expect(await positions([...jobs, ...late])).toEqual([undefined, 1, 2, 3, 4, 5, 6]);
    expect(queued.mock.calls.length).toBeLessThan(5);
  });

  it('should read the queue again after it could not be read', async () => {
    const job = await desk.submit('a');
    jest.spyOn(desk.store, 'queued').mockRejectedValueOnce(new Error('away'));
    await expect(desk.estimates.of(job)).rejects.toThrow('away');
    expect(await desk.estimates.of(job)).toEqual({ position: 1 });
  });
});
