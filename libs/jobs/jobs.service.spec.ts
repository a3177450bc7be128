import { draft } from '../../test/support/jobs';
import { JobDesk } from '../../test/support/job.desk';
import type { PictureResult } from './picture.job';
import { Jobs } from './jobs.service';

const key = (fingerprint: string) => ({ idempotency: { key: 'once', fingerprint } });
/** 4 steps of 1 s and 500 ms around them. */
const timings = {
  ...{ queue_ms: 0, text_ms: 100, image_ms: 0, sampling_ms: 4000 },
  ...{ decode_ms: 200, encode_ms: 100, store_ms: 100, total_ms: 4500 },
};
const result = { key: 'x', s3_uri: '', seed: 7, size: '64x64', timings, warnings: [] } as PictureResult;

describe(Jobs.name, () => {
  let desk: JobDesk;
  const open = (config: ConstructorParameters<typeof JobDesk>[0] = {}) => (desk = new JobDesk(config));
  const states = async (id: string) =>
    (await desk.events.read(id)).map((event) => event.type === 'state' && event.state);
  const succeed = async (id: string, pictureKey = result.key) => {
    const { attempts } = (await desk.jobs.start(id))!;
    return desk.jobs.succeed(id, attempts, { ...result, key: pictureKey });
  };

  afterEach(() => desk.close());

  describe('submit', () => {
    it('should write the job, tell it and bring it to the queue', async () => {
      open();
      const { job, replayed } = await desk.jobs.submit(draft({ id: 'a' }), true);
      expect(replayed).toBe(false);
      expect(await desk.store.find('a')).toEqual(job);
      expect(await states('a')).toEqual(['queued']);
      expect((await desk.queue.take(AbortSignal.timeout(1000)))?.id).toBe('a');
    });

    it('should accept a job although the queue is away: its record brings it there', async () => {
      open();
      jest.spyOn(desk.queue, 'add').mockRejectedValueOnce(new Error('Connection is closed'));
      await desk.submit('patient', { id: 'a' });
      expect((await desk.queue.take(AbortSignal.timeout(1000)))?.id).toBe('a');
    });

    it('should accept nothing while the process drains', async () => {
      open();
      desk.drain.begin();
      await expect(desk.submit('late', { id: 'a' })).rejects.toMatchObject({ code: 'draining' });
      expect(await desk.store.find('a')).toBeUndefined();
    });

    it('should answer the same request under the same key with the first job, told once', async () => {
      open();
      await desk.jobs.submit(draft({ id: 'a', ...key('same') }), true);
      const { job, replayed } = await desk.jobs.submit(draft({ id: 'b', ...key('same') }), true);
      expect({ id: job.id, replayed }).toEqual({ id: 'a', replayed: true });
      expect(await desk.store.find('b')).toBeUndefined();
      expect(await states('a')).toEqual(['queued']);
      expect((await desk.jobs.findByKey('alice', 'once', 'same'))?.id).toBe('a');
    });

    it('should refuse another request under the same key', async () => {
      open();
      await desk.jobs.submit(draft({ id: 'a', ...key('same') }), true);
      const mismatch = { code: 'idempotency_mismatch' };
      await expect(desk.jobs.submit(draft(key('other')), true)).rejects.toMatchObject(mismatch);
      await expect(desk.jobs.findByKey('alice', 'once', 'other')).rejects.toMatchObject(mismatch);
    });

    it('should refuse one job more than QUEUE_LIMIT, early too', async () => {
      open({ QUEUE_LIMIT: 2 });
      await desk.submit('one');
      await expect(desk.jobs.assertRoom('')).resolves.toBeUndefined();
      const two = await desk.submit('two');
      const full = { code: 'queue_full', retryAfter: 30 };
      await expect(desk.submit('three')).rejects.toMatchObject(full);
      await expect(desk.jobs.assertRoom('')).rejects.toMatchObject(full);
      await desk.jobs.cancel(two.id);
      await expect(desk.submit('three')).resolves.toMatchObject({ state: 'queued' });
    });

    it('should refuse one job more of a caller than QUEUE_LIMIT_PER_USER, where callers are known', async () => {
      open({ QUEUE_LIMIT_PER_USER: 1 });
      await desk.jobs.submit(draft(), true);
      await expect(desk.jobs.submit(draft(), true)).rejects.toMatchObject({ code: 'caller_queue_full' });
      await expect(desk.jobs.submit(draft({ caller: 'bob' }), true)).resolves.toBeDefined();
      await expect(desk.jobs.submit(draft(), false)).resolves.toBeDefined();
    });

    it('should tell when a place comes free, by the times that were measured', async () => {
      open({ QUEUE_LIMIT: 1 });
      await succeed((await desk.submit('measured')).id);
      const running = await desk.submit('running', { picture: { steps: 20 } });
      await desk.jobs.start(running.id);
      const error = (await desk.submit('more').catch((reason: unknown) => reason)) as { retryAfter: number };
      // 20 steps of 1 s and 0.5 s; just begun.
      expect(error).toMatchObject({ code: 'queue_full', retryAfter: 21 });
    });
  });

  describe('cancel', () => {
    it('should end a queued and a running job, and be fine twice', async () => {
      open();
      const [queued, running] = [await desk.submit('queued'), await desk.submit('running')];
      await desk.jobs.start(running.id);
      for (const { id } of [queued, running]) {
        expect(await desk.jobs.cancel(id, 'Enough')).toMatchObject({
          state: 'cancelled',
          error: { code: 'cancelled', message: 'Enough' },
        });
        const again = await desk.jobs.cancel(id, 'Really');
        expect(again.error?.message).toBe('Enough');
        expect((await states(id)).filter((state) => state === 'cancelled')).toHaveLength(1);
      }
    });

    it('should leave a job that is done as it is, and refuse one that is unknown', async () => {
      open();
      const { id } = await desk.submit('done');
      const done = await succeed(id);
      expect(await desk.jobs.cancel(id)).toEqual(done);
      expect(await desk.store.find(id)).toEqual(done);
      await expect(desk.jobs.cancel('none')).rejects.toMatchObject({ code: 'job_not_found' });
    });

    it('should free the idempotency key: the same request may run again', async () => {
      open();
      const { id } = await desk.submit('first', key('same'));
      await desk.jobs.cancel(id);
      const { job, replayed } = await desk.jobs.submit(draft(key('same')), true);
      expect(replayed).toBe(false);
      expect(job.id).not.toBe(id);
    });
  });

  describe('discard', () => {
    it('should remove the picture and all that is kept of the job, and free its key', async () => {
      open();
      const job = await desk.submit('done', { id: 'a', ...key('same') });
      await desk.storage.put(job.picture.key, Buffer.from('png'));
      await desk.storage.put('generated/b.png', Buffer.from('png'));
      await succeed('a', job.picture.key);
      await desk.jobs.discard(job);
      expect(desk.storage.keys).toEqual(['generated/b.png']);
      await expect(desk.jobs.get('a')).rejects.toMatchObject({ code: 'job_not_found' });
      expect(await states('a')).toEqual([]);
      expect((await desk.jobs.submit(draft(key('same')), true)).replayed).toBe(false);
    });

    it('should keep the record while the picture cannot be removed', async () => {
      open();
      const job = await desk.submit('done', { id: 'a' });
      const done = await succeed('a');
      jest.spyOn(desk.storage, 'delete').mockRejectedValueOnce(new Error('away'));
      await expect(desk.jobs.discard(job)).rejects.toThrow('away');
      expect(await desk.store.find('a')).toEqual(done);
    });
  });

  describe('the copy of a reference picture', () => {
    const referenceKey = 'inputs/a.png';
    const withReference = async () => {
      await desk.storage.put(referenceKey, Buffer.from('png'));
      return desk.submit('copied', { id: 'a', picture: { referenceKey } });
    };

    it.each([
      ['succeeded', () => succeed('a')],
      ['cancelled', () => desk.jobs.cancel('a')],
      [
        'failed',
        () => desk.jobs.start('a').then(() => desk.jobs.fail('a', 1, { code: 'out_of_memory', message: '' })),
      ],
    ])('should go when its job has %s, not before', async (state, end) => {
      open();
      await withReference();
      expect(desk.storage.keys).toEqual([referenceKey]);
      await end();
      expect(await desk.store.find('a')).toMatchObject({ state });
      expect(desk.storage.keys).toEqual([]);
    });

    it('should stay when the engine died and the job is drawn again', async () => {
      open();
      await withReference();
      await desk.jobs.start('a');
      await desk.jobs.crash('a', 1);
      expect(desk.storage.keys).toEqual([referenceKey]);
    });

    it('should not keep a job from ending while the storage is away', async () => {
      open();
      await withReference();
      jest.spyOn(desk.storage, 'delete').mockRejectedValueOnce(new Error('away'));
      expect(await desk.jobs.cancel('a')).toMatchObject({ state: 'cancelled' });
    });
  });

  describe('removeUser', () => {
    it('should cancel and forget all jobs of the user, and leave others alone', async () => {
      open();
      const of = (userId: string) => ({ picture: { userId } });
      const done = await desk.submit('done', of('bob'));
      await succeed(done.id);
      const running = await desk.submit('running', of('bob'));
      await desk.jobs.start(running.id);
      for (let i = 0; i < 101; i++) await desk.submit('queued', of('bob'));
      const other = await desk.submit('other', of('bobby'));
      const waiting = desk.ended(running);
      const told: unknown[] = [];
      await desk.events.subscribe(running.id, (event) => told.push(event));
      await desk.jobs.removeUser('bob');
      expect(told).toMatchObject([{ type: 'state', state: 'cancelled' }]);
      expect((await desk.jobs.list({ limit: 100 })).jobs.map(({ id }) => id)).toEqual([other.id]);
      expect(await desk.store.find(other.id)).toEqual(other);
      for (const { id } of [done, running]) {
        await expect(desk.jobs.get(id)).rejects.toMatchObject({ code: 'job_not_found' });
        expect(await desk.events.read(id)).toEqual([]);
      }
      expect((await waiting).error?.message).toBe('The data of user bob was deleted');
      expect((await desk.queue.take(AbortSignal.timeout(1000)))?.id).toBe(other.id);
    });
  });
});
