import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { ServiceError } from '@app/errors';
import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import { JOB_VERSION } from '../job.record';
import { JobRun } from './job.run';
import { MAX_ATTEMPTS } from '../job.transitions';
import * as to from '../job.transitions';

/** Long enough for anything that must not happen. */
const MOMENT = 60;

const away = () => new ServiceError('storage_unavailable', 'The storage is away');

describe(JobRun.name, () => {
  let desk: JobDesk;
  const begin = () => desk.dispatcher.onApplicationBootstrap();

  beforeEach(() => {
    desk = new JobDesk();
  });
  afterEach(() => desk.close());

  it('should store the picture and write down where it is', async () => {
    begin();
    const job = await desk.submit('plain');
    (await desk.drawing()).finish();
    const { state, attempts, result } = await desk.ended(job);
    expect({ state, attempts }).toEqual({ state: 'succeeded', attempts: 1 });
    expect(result).toMatchObject({ key: job.picture.key, size: '64x64', warnings: ['a warning'] });
    expect(desk.storage.keys).toEqual([job.picture.key]);
  });

  describe('cancelled', () => {
    it('should stop the engine, store nothing and stay cancelled', async () => {
      begin();
      const job = await desk.submit('running');
      const { listeners } = await desk.drawing();
      await desk.jobs.cancel(job.id, 'No longer wanted');
      expect(listeners.signal?.aborted).toBe(true);
      const next = await desk.submit('next');
      (await desk.drawing()).finish();
      await desk.ended(next);
      expect(desk.storage.keys).toEqual([next.picture.key]);
      const { state, error, result } = (await desk.store.find(job.id))!;
      expect({ state, error, result }).toEqual({
        state: 'cancelled',
        error: { code: 'cancelled', message: 'No longer wanted' },
        result: undefined,
      });
    });

    it('should take away again what was just being stored', async () => {
      begin();
      const storage = desk.holdStorage();
      const put = jest.spyOn(desk.storage, 'put');
      const job = await desk.submit('late');
      (await desk.drawing()).finish();
      await storage.reached;
      await desk.jobs.cancel(job.id);
      storage.release();
      await until(() => put.mock.results.length === 1);
      await put.mock.results[0].value;
      await until(() => desk.storage.keys.length === 0);
      await sleep(MOMENT);
      expect(desk.storage.keys).toEqual([]);
      expect(await desk.store.find(job.id)).toMatchObject({ state: 'cancelled' });
    });

    it('should keep nothing of a user who was removed meanwhile', async () => {
      begin();
      const storage = desk.holdStorage();
      const remove = jest.spyOn(desk.storage, 'delete');
      const job = await desk.submit('gone', { picture: { userId: 'bob' } });
      (await desk.drawing()).finish();
      await storage.reached;
      await desk.jobs.removeUser('bob');
      storage.release();
      await until(() => remove.mock.calls.some(([key]) => key === job.picture.key));
      expect(desk.storage.keys).toEqual([]);
      expect(await desk.store.find(job.id)).toBeUndefined();
    });

    it('should find out by looking when the message was lost', async () => {
      begin();
      const job = await desk.submit('unheard');
      const { listeners } = await desk.drawing();
      await desk.store.update(job.id, to.cancel('Cancelled elsewhere', Date.now()));
      await until(() => listeners.signal?.aborted ?? false);
      expect(desk.storage.keys).toEqual([]);
    });
  });

  describe('past its deadline', () => {
    it('should expire while it waits behind another', async () => {
      begin();
      await desk.submit('long');
      const drawing = await desk.drawing();
      const job = await desk.submit('hasty', { deadlineAt: Date.now() + 80 });
      const ended = await desk.ended(job);
      expect(ended).toMatchObject({ state: 'expired', attempts: 0, error: { code: 'deadline_exceeded' } });
      drawing.finish();
      await sleep(MOMENT);
      expect(desk.drawn).toEqual(['long']);
    });

    it('should fail while it is drawn, and stop the engine', async () => {
      begin();
      const job = await desk.submit('slow', { deadlineAt: Date.now() + 150 });
      const { listeners } = await desk.drawing();
      const ended = await desk.ended(job);
      expect(ended).toMatchObject({
        state: 'failed',
        error: { code: 'deadline_exceeded', param: 'deadline_seconds' },
      });
      expect(listeners.signal?.aborted).toBe(true);
      expect(desk.storage.keys).toEqual([]);
    });
  });

  it('should write nothing once its lease is lost', async () => {
    begin();
    const job = await desk.submit('lost');
    const { listeners } = await desk.drawing();
    const before = await desk.store.find(job.id);
    desk.queue.lose(job.id);
    expect(listeners.signal?.aborted).toBe(true);
    await sleep(MOMENT);
    expect(await desk.store.find(job.id)).toEqual(before);
    expect(desk.queue.released).toEqual([]);
    expect(desk.storage.keys).toEqual([]);
  });

  it('should draw a job again whose worker died', async () => {
    const job = await desk.submit('orphan');
    await desk.store.update(job.id, to.start(Date.now()));
    const lease = jest.spyOn(desk.queue, 'take');
    lease.mockResolvedValueOnce({
      id: job.id,
      lost: new AbortController().signal,
      done: () => Promise.resolve(),
      release: () => Promise.resolve(),
    });
    jest.spyOn(desk.queue, 'start').mockResolvedValue();
    begin();
    (await desk.drawing()).finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 2, crashes: 0 });
  });

  describe.each(['queued', 'running'] as const)('with a %s record of a newer version', (state) => {
    it('should leave it alone, and hand it out again later', async () => {
      const job = await desk.submit('newer', { version: JOB_VERSION + 1, attempts: MAX_ATTEMPTS - 1 });
      if (state === 'running') await desk.store.update(job.id, to.start(Date.now()));
      const before = await desk.store.find(job.id);
      const release = jest.fn(() => Promise.resolve());
      jest.spyOn(desk.queue, 'start').mockResolvedValue();
      jest.spyOn(desk.queue, 'take').mockResolvedValueOnce({
        id: job.id,
        lost: new AbortController().signal,
        done: () => Promise.reject(new Error('It is not done')),
        release,
      });
      // The real queue would hand it out again at once.
      jest
        .spyOn(desk.queue, 'take')
        .mockImplementation(
          (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined))),
        );
      begin();
      await sleep(MOMENT);
      expect(await desk.store.find(job.id)).toEqual(before);
      expect(release.mock.calls).toEqual([[5000]]);
      expect(desk.drawn).toEqual([]);
    });
  });

  describe('while something is away', () => {
    it('should try a job again later whose reference picture cannot be read now', async () => {
      const png = await sharp({ create: { width: 224, height: 224, channels: 3, background: 'red' } })
        .png()
        .toBuffer();
      await desk.storage.put('inputs/a.png', png);
      jest.spyOn(desk.storage, 'read').mockRejectedValueOnce(away());
      begin();
      const job = await desk.submit('patient', { picture: { referenceKey: 'inputs/a.png' } });
      (await desk.drawing()).finish();
      expect(desk.queue.released).toEqual([{ id: job.id, delay: 5000 }]);
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
    });

    it('should fail a job at once whose reference picture is gone', async () => {
      begin();
      const job = await desk.submit('bereft', { picture: { referenceKey: 'inputs/gone.png' } });
      const ended = await desk.ended(job);
      expect(ended).toMatchObject({ state: 'failed', error: { code: 'generation_failed' } });
      expect(desk.drawn).toEqual([]);
    });

    it('should write the end of a job once the records can be written again', async () => {
      begin();
      const job = await desk.submit('kept');
      const drawing = await desk.drawing();
      const update = jest.spyOn(desk.store, 'update').mockRejectedValueOnce(away());
      drawing.finish();
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
      expect(update).toHaveBeenCalledTimes(2);
      expect(desk.storage.keys).toEqual([job.picture.key]);
    });

    it('should free the engine when the start cannot be written, and try again later', async () => {
      const job = await desk.submit('again');
      jest.spyOn(desk.store, 'update').mockRejectedValueOnce(away());
      begin();
      (await desk.drawing()).finish();
      expect(desk.queue.released).toEqual([{ id: job.id, delay: 5000 }]);
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
    });
  });
});
