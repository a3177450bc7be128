import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@app/errors';
import { findLora } from '@app/models';
import { loraLayer, writeSafetensors } from '../../../test/support/safetensors';
import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import { OutOfMemory } from '@app/pipeline';
import { EngineCrashed } from '@app/pipeline';
import { Dispatcher } from './dispatcher';

/** Long enough for anything that must not happen. */
const MOMENT = 60;

describe(Dispatcher.name, () => {
  let desk: JobDesk;
  const state = async (id: string) => (await desk.store.find(id))?.state;

  beforeEach(() => {
    desk = new JobDesk();
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(() => desk.close());

  it('should fetch exactly one job ahead, still queued in its record', async () => {
    const [first, second, third] = [
      await desk.submit('first'),
      await desk.submit('second'),
      await desk.submit('third'),
    ];
    const drawing = await desk.drawing();
    await until(() => desk.queue.taken.length >= 2);
    await sleep(MOMENT);
    expect(desk.queue.taken).toEqual([first.id, second.id]);
    expect([await state(first.id), await state(second.id), await state(third.id)]).toEqual([
      'running',
      'queued',
      'queued',
    ]);
    drawing.finish();
    await desk.drawing();
    await until(() => desk.queue.taken.length >= 3);
    expect(desk.queue.taken).toEqual([first.id, second.id, third.id]);
  });

  it('should prepare the job that is fetched ahead while another is drawn', async () => {
    const read = jest.spyOn(desk.storage, 'read');
    await desk.submit('first');
    await desk.drawing();
    await desk.submit('second', { picture: { referenceKey: 'inputs/second.png' } });
    await until(() => read.mock.calls.length > 0);
    expect(desk.drawn).toEqual(['first']);
  });

  it('should never draw the job that was fetched ahead and cancelled', async () => {
    await desk.submit('first');
    const drawing = await desk.drawing();
    const ahead = await desk.submit('ahead');
    await until(() => desk.queue.taken.includes(ahead.id));
    await desk.jobs.cancel(ahead.id);
    const next = await desk.submit('next');
    drawing.finish();
    (await desk.drawing()).finish();
    expect(await desk.ended(next)).toMatchObject({ state: 'succeeded' });
    expect(desk.drawn).toEqual(['first', 'next']);
    expect(await desk.store.find(ahead.id)).toMatchObject({ state: 'cancelled', attempts: 0 });
  });

  it('should give the place of the job that was cancelled ahead to another at once', async () => {
    await desk.submit('first');
    await desk.drawing();
    const ahead = await desk.submit('ahead');
    const next = await desk.submit('next');
    await until(() => desk.queue.taken.includes(ahead.id));
    await desk.jobs.cancel(ahead.id);
    await until(() => desk.queue.taken.includes(next.id));
    expect(desk.drawn).toEqual(['first']);
  });

  it('should draw the next picture while one is stored', async () => {
    const storage = desk.holdStorage();
    const first = await desk.submit('first');
    const second = await desk.submit('second');
    (await desk.drawing()).finish();
    await storage.reached;
    const drawing = await desk.drawing();
    expect(drawing.prompt).toBe('second');
    expect(await state(first.id)).toBe('running');
    storage.release();
    expect(await desk.ended(first)).toMatchObject({ state: 'succeeded' });
    drawing.finish();
    await desk.ended(second);
    expect(desk.storage.keys).toEqual([first.picture.key, second.picture.key].sort());
  });

  it('should draw as many at a time as there are engines, and fetch one more', async () => {
    desk.pipeline.engines = [0, 1].map((id) => ({ id, state: 'ready' }));
    for (const prompt of ['a', 'b', 'c', 'd']) await desk.submit(prompt);
    await until(() => desk.queue.taken.length >= 3);
    await sleep(MOMENT);
    expect(desk.drawn).toEqual(['a', 'b']);
    expect(desk.queue.taken).toHaveLength(3);
  });

  describe('with engines of different memory', () => {
    const small = { width: 64, height: 64 };
    const large = { width: 128, height: 128 };

    beforeEach(() => {
      desk.pipeline.engines = [0, 1].map((id) => ({ id, state: 'ready' }));
      desk.pipeline.mostOf = { 0: 64 * 64 };
    });

    it('should draw on while a picture waits for the larger one, which gets it next', async () => {
      const first = await desk.submit('first large', { picture: large });
      const running = await desk.drawing();
      const second = await desk.submit('second large', { picture: large });
      await until(() => desk.queue.taken.includes(second.id));
      for (const prompt of ['a', 'b']) {
        const job = await desk.submit(prompt, { picture: small });
        (await desk.drawing()).finish();
        await desk.ended(job);
      }
      expect(desk.drawn).toEqual(['first large', 'a', 'b']);
      running.finish();
      await desk.ended(first);
      (await desk.drawing()).finish();
      expect(await desk.ended(second)).toMatchObject({ state: 'succeeded' });
    });

    it('should refuse what none has the memory for, and go on', async () => {
      desk.pipeline.mostOf = { 0: 64 * 64, 1: 64 * 64 };
      const refused = await desk.submit('large', { picture: large });
      expect(await desk.ended(refused)).toMatchObject({ state: 'failed', error: { code: 'out_of_memory' } });
      const job = await desk.submit('small', { picture: small });
      (await desk.drawing()).finish();
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded' });
    });

    it('should leave it to a worker elsewhere that has it', async () => {
      desk.pipeline.mostOf = { 0: 64 * 64, 1: 64 * 64 };
      desk.workers = [{ mostPixels: 64 * 64 }, { mostPixels: 128 * 128 }];
      const job = await desk.submit('large', { picture: large });
      await until(() => desk.queue.released.length > 0);
      expect(desk.queue.released[0]).toEqual({ id: job.id, delay: 5_000 });
      expect(await desk.store.find(job.id)).toMatchObject({ state: 'queued', attempts: 0 });
      desk.pipeline.mostOf = {};
      (await desk.drawing()).finish();
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
    });

    it.each([
      ['lacked the memory for, after all', large, new OutOfMemory('Another program has it', false), 1, [0]],
      ['gave up on', small, new ServiceError('generation_failed', 'The picture is flat'), 1, [0]],
      ['died under', small, new EngineCrashed('killed by SIGABRT', true, []), 2, []],
    ])('should draw with another what one %s', async (_, picture, error, attempts, ejected) => {
      desk.pipeline.mostOf = {};
      const job = await desk.submit('unlucky', { picture });
      (await desk.drawing()).fail(error);
      (await desk.drawing()).finish();
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts });
      expect(desk.pipeline).toMatchObject({ drawers: [0, 1], ejected });
    });

    it.each([
      ['have no memory for', (words: string) => new OutOfMemory(words, false), 'out_of_memory'],
      ['fail', (words: string) => new ServiceError('generation_failed', words), 'generation_failed'],
    ])('should tell the first error where two %s it, and blame neither', async (_, error, code) => {
      desk.pipeline.engines = [0, 1, 2].map((id) => ({ id, state: 'ready' }));
      desk.pipeline.mostOf = {};
      const job = await desk.submit('hopeless', { picture: large });
      for (const words of ['One', 'Two']) (await desk.drawing()).fail(error(words));
      const message = expect.stringContaining('One') as string;
      expect(await desk.ended(job)).toMatchObject({ state: 'failed', error: { code, message } });
      expect(desk.pipeline).toMatchObject({ drawers: [0, 1], ejected: [] });
    });

    it('should not ask another for what is nobody else’s to mend', async () => {
      const job = await desk.submit('wrong', { picture: small });
      (await desk.drawing()).fail(new ServiceError('lora_not_applied', 'Nothing fits'));
      expect(await desk.ended(job)).toMatchObject({ state: 'failed', error: { code: 'lora_not_applied' } });
      expect(desk.pipeline.drawers).toHaveLength(1);
    });

    it('should not draw again with one that ran out of memory or died, while there is a third', async () => {
      desk.pipeline.engines = [0, 1, 2].map((id) => ({ id, state: 'ready' }));
      desk.pipeline.mostOf = {};
      const job = await desk.submit('unlucky', { picture: large });
      (await desk.drawing()).fail(new OutOfMemory('Another program has it', false));
      (await desk.drawing()).fail(new EngineCrashed('killed by SIGABRT', true, []));
      (await desk.drawing()).finish();
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 2 });
      expect(desk.pipeline.drawers).toEqual([0, 1, 2]);
    });

    it('should tell want of memory where all lack it', async () => {
      desk.pipeline.mostOf = {};
      const job = await desk.submit('too much', { picture: large });
      for (let engine = 0; engine < 2; engine++) (await desk.drawing()).fail(new OutOfMemory('No', false));
      expect(await desk.ended(job)).toMatchObject({ state: 'failed', error: { code: 'out_of_memory' } });
    });
  });

  describe('with merged LoRAs', () => {
    let folder: string;
    const withLora = async (name: string) => {
      const { sha256 } = await findLora(folder, name);
      return { picture: { loras: [{ name, scale: 1, sha256 }] } };
    };

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'loras-'));
      for (const name of ['one', 'other'])
        await writeSafetensors(join(folder, `${name}.safetensors`), loraLayer('a', 2, 2));
      desk.pipeline.loraDir = folder;
    });
    afterEach(() => rm(folder, { recursive: true }));

    /** The order of the pictures; each ends when as many others wait for the engine as may, in this case. */
    const drawAll = async (waiting: number) => {
      const [one, other] = [await withLora('one'), await withLora('other')];
      const jobs = [await desk.submit('a1', one)];
      const first = await desk.drawing();
      for (const name of ['b1', 'a2', 'a3', 'b2', 'a4', 'a5', 'a6'])
        jobs.push(await desk.submit(name, name.startsWith('a') ? one : other));
      for (let drawing = first; ; drawing = await desk.drawing()) {
        const left = jobs.length - desk.drawn.length;
        await until(() => desk.pipeline.waiting === Math.min(waiting, left));
        drawing.finish();
        if (left === 0) break;
      }
      await desk.ended(jobs.at(-1)!);
      return desk.drawn.join(' ');
    };

    it('should draw those that are merged first, and let others wait for a few pictures only', async () => {
      desk.pipeline.merged = '';
      expect(await drawAll(2)).toBe('a1 a2 a3 b1 b2 a4 a5 a6');
    });

    it('should draw in turn where LoRAs are not merged', async () => {
      expect(await drawAll(1)).toBe('a1 b1 a2 a3 b2 a4 a5 a6');
    });
  });

  it('should begin no job before an engine is ready: until then no LoRA is known', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'loras-'));
    await writeSafetensors(join(folder, 'style.safetensors'), loraLayer('a', 2, 2));
    const { sha256 } = await findLora(folder, 'style');
    const restarted = new JobDesk();
    restarted.pipeline.become('loading');
    const job = await restarted.submit('early', {
      picture: { loras: [{ name: 'style', scale: 1, sha256 }] },
    });
    restarted.dispatcher.onApplicationBootstrap();
    await sleep(MOMENT);
    expect(restarted.queue.taken).toEqual([]);
    restarted.pipeline.loraDir = folder;
    restarted.pipeline.become('ready');
    (await restarted.drawing()).finish();
    expect(await restarted.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
    await restarted.close();
    await rm(folder, { recursive: true });
  });

  it('should take nothing and give back what is fetched ahead once no engine works any more', async () => {
    await desk.submit('first');
    const drawing = await desk.drawing();
    const ahead = await desk.submit('ahead');
    await until(() => desk.queue.taken.includes(ahead.id));
    desk.pipeline.become('failed');
    await until(() => desk.queue.released.length > 0);
    expect(desk.queue.released).toEqual([{ id: ahead.id, delay: 0 }]);
    // What waits for a job at that moment leaves, too.
    const later = await desk.submit('later');
    await sleep(MOMENT);
    expect(desk.queue.taken).not.toContain(later.id);
    desk.pipeline.become('ready');
    drawing.finish();
    for (const job of [ahead, later]) {
      (await desk.drawing()).finish();
      expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 1 });
    }
  });

  it('should give a job back that was drawn when the only engine died, and not wait for the next', async () => {
    const job = await desk.submit('unlucky');
    const drawing = await desk.drawing();
    desk.pipeline.become('starting');
    drawing.fail(new EngineCrashed('killed by SIGKILL', true, []));
    await until(() => desk.queue.released.length > 0);
    expect(await desk.store.find(job.id)).toMatchObject({ state: 'queued', crashes: 1 });
    desk.pipeline.become('ready');
    (await desk.drawing()).finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 2 });
  });

  it('should end while it waits for an engine', async () => {
    const restarted = new JobDesk();
    restarted.pipeline.become('loading');
    restarted.dispatcher.onApplicationBootstrap();
    await sleep(MOMENT);
    restarted.drain.begin();
    await restarted.dispatcher.onModuleDestroy();
    await restarted.close();
  });

  it('should go on once a queue that cannot be reached is back', async () => {
    const away = new JobDesk();
    jest.spyOn(away.queue, 'take').mockRejectedValueOnce(new Error('Connection is closed'));
    away.dispatcher.onApplicationBootstrap();
    const job = await away.submit('patient');
    (await away.drawing()).finish();
    expect(await away.ended(job)).toMatchObject({ state: 'succeeded' });
    await away.close();
  });
});
