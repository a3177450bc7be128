import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@app/errors';
import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import * as pictures from '@app/pictures';
import { PictureUploads } from './picture.uploads';

/** Long enough for anything that must not happen. */
const MOMENT = 60;

describe(`${PictureUploads.name} while the storage refuses pictures`, () => {
  let desk: JobDesk;
  /** Refusals so far. */
  let refused: number;
  let away: boolean;

  beforeEach(() => {
    desk = new JobDesk();
    [refused, away] = [0, true];
    const put = desk.storage.put.bind(desk.storage);
    desk.storage.put = (key, body) => {
      if (!away) return put(key, body);
      refused++;
      return Promise.reject(new ServiceError('storage_unavailable', 'SlowDown'));
    };
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await desk.close();
  });

  const state = async (id: string) => (await desk.store.find(id))?.state;
  /** Its picture is drawn and was refused. */
  const undelivered = async (prompt: string, overrides: Parameters<JobDesk['submit']>[1] = {}) => {
    const job = await desk.submit(prompt, overrides);
    const before = refused;
    (await desk.drawing()).finish();
    await until(() => refused > before);
    return job;
  };

  it('should keep the picture, encoded once, and store it when the storage is back', async () => {
    const encode = jest.spyOn(pictures, 'encodePicture');
    const job = await undelivered('patient');
    expect(await state(job.id)).toBe('running');
    expect(desk.uploads.refusal).toEqual({ pictures: 1, reason: 'SlowDown' });
    away = false;
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
    expect(desk.uploads.refusal).toBeUndefined();
    expect(desk.storage.keys).toEqual([job.picture.key]);
    expect(desk.drawn).toEqual(['patient']);
    expect(encode).toHaveBeenCalledTimes(1);
  });

  it('should begin no other job meanwhile, and give back what is fetched ahead', async () => {
    const first = await desk.submit('first');
    const drawing = await desk.drawing();
    const jobs = [await desk.submit('second'), await desk.submit('third'), await desk.submit('fourth')];
    const [second, third, fourth] = jobs;
    await until(() => desk.queue.taken.includes(second.id));
    drawing.finish();
    // The engine was free for the second before the first was refused.
    const begun = await desk.drawing();
    await until(() => refused >= 1 && desk.queue.taken.length === desk.queue.released.length + 2);
    begun.finish();
    // Each was put again: there was time enough to take something.
    await until(() => refused >= 4);
    const held = desk.queue.taken.filter((id) => ![third.id, fourth.id].includes(id));
    expect(held).toEqual([first.id, second.id]);
    expect(desk.queue.released.every(({ id, delay }) => id === third.id && delay === 0)).toBe(true);
    expect([await state(third.id), await state(fourth.id)]).toEqual(['queued', 'queued']);
    expect(desk.drawn).toEqual(['first', 'second']);
    away = false;
    for (const job of [third, fourth]) {
      (await desk.drawing()).finish();
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
    }
    expect(desk.drawn).toEqual(['first', 'second', 'third', 'fourth']);
  });

  it('should fail at the deadline, and work on afterwards', async () => {
    const job = await undelivered('too late', { deadlineAt: Date.now() + 1_500 });
    expect(await desk.ended(job)).toMatchObject({ state: 'failed', error: { code: 'deadline_exceeded' } });
    away = false;
    const next = await desk.submit('next');
    (await desk.drawing()).finish();
    expect(await desk.ended(next)).toMatchObject({ state: 'succeeded' });
    expect(desk.storage.keys).toEqual([next.picture.key]);
  });

  it('should give the job back at a shutdown', async () => {
    const job = await undelivered('unlucky');
    await desk.dispatcher.beforeApplicationShutdown();
    expect(await desk.store.find(job.id)).toMatchObject({ state: 'queued', attempts: 1, crashes: 0 });
    expect(desk.queue.released).toEqual([{ id: job.id, delay: 0 }]);
  });

  it('should put it no more once the job is cancelled, and take away what a refused put may have left', async () => {
    const job = await undelivered('unwanted');
    const removed: string[] = [];
    const remove = desk.storage.delete.bind(desk.storage);
    desk.storage.delete = async (key) => {
      removed.push(key);
      if (removed.length === 1) throw new ServiceError('storage_unavailable', 'SlowDown');
      return remove(key);
    };
    desk.storage.objects.set(job.picture.key, { bytes: Buffer.from('png'), at: new Date() });
    await desk.jobs.cancel(job.id);
    await until(() => desk.storage.keys.length === 0);
    expect(removed).toEqual([job.picture.key, job.picture.key]);
    expect(await state(job.id)).toBe('cancelled');
  });

  it('should fail a job whose picture can never be stored', async () => {
    desk.storage.put = () => Promise.reject(new ServiceError('invalid_request', 'The key is not free'));
    const job = await desk.submit('taken');
    (await desk.drawing()).finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'failed', error: { code: 'invalid_request' } });
  });

  it('should begin no more while many pictures are slow in being stored', async () => {
    away = false;
    const storage = desk.holdStorage();
    const jobs = [];
    for (let n = 0; n < 18; n++) jobs.push(await desk.submit(`${n}`));
    for (let n = 0; n < 17; n++) (await desk.drawing()).finish();
    await sleep(MOMENT);
    // The one that was fetched ahead was the last to be drawn.
    const { length } = desk.queue.taken;
    storage.release();
    expect(length).toBe(17);
    (await desk.drawing()).finish();
    expect(await desk.ended(jobs[17])).toMatchObject({ state: 'succeeded' });
  });
});
