import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Descriptor, Pixels } from '@app/faces';
import { EngineCrashed } from '@app/pipeline';
import { until } from '../../../test/support/eventually';
import { JobDesk } from '../../../test/support/job.desk';
import { encodePng } from '@app/pictures';
import type { JobRecord } from '../job.record';
import { picturesOf } from '../picture.job';
import { Candidates } from './candidates';

const REFERENCE = 200;
const USER = 'ann.of.whom.nothing.is.left';

describe(`${Candidates.name} of a job`, () => {
  let desk: JobDesk;
  /** What is seen in a picture, by its first byte. */
  let describeFace: (first: number) => Promise<Descriptor | null>;

  beforeEach(async () => {
    describeFace = (first) => Promise.resolve(first === REFERENCE ? [1, 0] : null);
    desk = new JobDesk({}, undefined, undefined, {
      find: () => Promise.reject(new Error('Not asked for')),
      describe: ({ pixels }: Pixels) => describeFace(pixels[0]),
    });
    const copy = await encodePng(Buffer.alloc(224 * 224 * 3, REFERENCE), 224, 224);
    await desk.storage.put('inputs/reference.png', copy);
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(() => desk.close());

  const submit = (candidates: number, more: Partial<JobRecord['picture']> = {}) => {
    const key = `generated/${USER}/subject.png`;
    const owned = { route: 'subject', userId: USER, key, referenceKey: 'inputs/reference.png' } as const;
    return desk.submit('portrait', { caller: USER, picture: { ...owned, candidates, ...more } });
  };
  const seeds = () => desk.pipeline.requests.map(({ prompt, seed }) => [prompt, seed]);
  const files = () => {
    const { folder } = desk.records;
    return Buffer.concat(readdirSync(folder!).map((name) => readFileSync(join(folder!, name))));
  };

  it('should draw them one after the other, with nothing between, as one progress', async () => {
    const told: unknown[] = [];
    const job = await submit(3);
    await desk.events.subscribe(job.id, (event) => {
      if (event.type === 'progress') told.push(event.progress);
    });
    const other = await desk.submit('other');
    for (let n = 0; n < 3; n++) {
      const { listeners, finish } = await desk.drawing();
      for (const phase of ['text', 'sampling', 'decoding'] as const)
        listeners.onProgress!({ phase, step: phase === 'text' ? 0 : 4, steps: 4 });
      finish();
    }
    const { result } = await desk.ended(job);
    expect(result).toMatchObject({ seed: 7, tries: 3, key: job.picture.key });
    expect(result!.warnings).toEqual(['a warning', 'No face was found in the picture.']);
    expect(result!.timings).toMatchObject({ sampling_ms: 12, faces_ms: expect.any(Number) });
    (await desk.drawing()).finish();
    await desk.ended(other);
    expect(seeds()).toEqual([
      ['portrait', 7],
      ['portrait', 8],
      ['portrait', 9],
      ['other', 7],
    ]);
    expect(told).toEqual([
      { phase: 'text', step: 0, steps: 12 },
      { phase: 'sampling', step: 4, steps: 12 },
      ...[4, 4, 8, 8, 8, 12].map((step) => ({ phase: 'sampling', step, steps: 12 })),
      { phase: 'decoding', step: 12, steps: 12 },
    ]);
  });

  it('should store all where they are wanted, the best first, and take all of them away again', async () => {
    const unlike: Record<number, number> = { [REFERENCE]: 0, 7: 3, 8: 0.5, 9: 1 };
    describeFace = (first) => Promise.resolve([1, unlike[first]]);
    desk.pipeline.paint = ({ width, height, seed }) => Buffer.alloc(width * height * 3, seed);
    const job = await submit(3, { allCandidates: true });
    for (let n = 0; n < 3; n++) (await desk.drawing()).finish();
    const ended = await desk.ended(job);
    const { result } = ended;
    const keys = ['', '-2', '-3'].map((nth) => `generated/${USER}/subject${nth}.png`);
    expect(picturesOf(result!).map(({ key, seed, likeness }) => [key, seed, likeness])).toEqual([
      [keys[0], 8, 0.894],
      [keys[1], 9, 0.707],
      [keys[2], 7, 0.316],
    ]);
    expect(result!.tries).toBe(3);
    expect([...desk.storage.keys].sort()).toEqual([...keys].sort());
    await desk.jobs.discard(ended);
    expect([desk.storage.keys, await desk.jobs.find(job.id)]).toEqual([[], undefined]);
  });

  it('should draw no other once one is like enough, and free the engine', async () => {
    describeFace = () => Promise.resolve([1, 0]);
    const job = await submit(3, { minLikeness: 0.9 });
    (await desk.drawing()).finish();
    expect((await desk.ended(job)).result).toMatchObject({ likeness: 1, seed: 7 });
    const next = await desk.submit('next');
    (await desk.drawing()).finish();
    await desk.ended(next);
    expect(desk.drawn).toEqual(['portrait', 'next']);
  });

  it('should begin anew where the engine dies at the second', async () => {
    const job = await submit(2);
    (await desk.drawing()).finish();
    (await desk.drawing()).fail(new EngineCrashed('SIGKILL', true, []));
    for (let n = 0; n < 2; n++) (await desk.drawing()).finish();
    expect(await desk.ended(job)).toMatchObject({ state: 'succeeded', attempts: 2, result: { tries: 2 } });
    expect(seeds().map(([, seed]) => seed)).toEqual([7, 8, 7, 8]);
  });

  it('should fail where no face is found and one is required', async () => {
    const job = await submit(1, { requireFace: true });
    (await desk.drawing()).finish();
    const { state, error } = await desk.ended(job);
    expect([state, error]).toMatchObject(['failed', { code: 'no_face', param: 'require_face' }]);
    expect(desk.storage.keys).toEqual([]);
  });

  it('should store nothing where it is cancelled at the second, and free the engine', async () => {
    const job = await submit(3);
    (await desk.drawing()).finish();
    const { listeners } = await desk.drawing();
    await desk.jobs.cancel(job.id);
    expect(listeners.signal!.aborted).toBe(true);
    const next = await desk.submit('next');
    (await desk.drawing()).finish();
    await desk.ended(next);
    expect(await desk.ended(job)).toMatchObject({ state: 'cancelled' });
    expect(desk.storage.keys).toEqual([next.picture.key]);
  });

  it('should leave nothing of a user who is deleted at the second', async () => {
    await submit(3);
    (await desk.drawing()).finish();
    await desk.drawing();
    expect(files().includes(USER)).toBe(true);
    await desk.jobs.removeUser(USER);
    await until(() => desk.queue.taken.length === 1 && desk.storage.keys.length === 0);
    const next = await desk.submit('next');
    (await desk.drawing()).finish();
    await desk.ended(next);
    expect(desk.storage.keys).toEqual([next.picture.key]);
    expect(files().includes(USER)).toBe(false);
  });

  it('should leave nothing of a user who is deleted while faces are looked for', async () => {
    let found!: (descriptor: Descriptor) => void;
    const looks: number[] = [];
    describeFace = (first) => {
      looks.push(first);
      return first === REFERENCE ? Promise.resolve([1, 0]) : new Promise((resolve) => (found = resolve));
    };
    await submit(1);
    (await desk.drawing()).finish();
    await until(() => looks.length === 2);
    await desk.jobs.removeUser(USER);
    found([1, 0]);
    const next = await desk.submit('next');
    (await desk.drawing()).finish();
    await desk.ended(next);
    await until(() => desk.storage.keys.length === 1);
    expect(desk.storage.keys).toEqual([next.picture.key]);
    expect(files().includes(USER)).toBe(false);
  });
});
