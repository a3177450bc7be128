import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { FaceFinder, isInstalled, type Face } from '@app/faces';
import { JobDesk } from '../../../test/support/job.desk';
import { FaceDetail } from './face.detail';

const USER = 'ann.of.whom.nothing.is.left';
const FACE: Face = {
  ...{ x: 40, y: 40, width: 20, height: 20 },
  score: 1,
  sharpness: 4,
  roll: 0,
  yaw: 0,
  pitch: 0,
};

(isInstalled() ? describe : describe.skip)(FaceDetail.name, () => {
  let desk: JobDesk;
  /** In the pictures, one after the other. */
  let faces: (Face[] | undefined)[];

  beforeEach(() => {
    faces = [];
    const find: FaceFinder['find'] = async () => {
      await setTimeout(2);
      return faces.shift();
    };
    desk = new JobDesk({ FACE_DESCRIPTORS: false }, undefined, undefined, {
      find,
      describe: () => Promise.resolve(undefined),
    });
    desk.dispatcher.onApplicationBootstrap();
  });
  afterEach(() => desk.close());

  const submit = (picture: object = {}) =>
    desk.submit('a fox', {
      picture: { width: 128, height: 192, seed: 40, faceDetail: { steps: 8, strength: 0.5 }, ...picture },
    });

  it('should have the face painted again, with the same prompt and seed, by image to image', async () => {
    faces = [[FACE]];
    const job = await submit({ guidanceScale: 3, clipSkip: 2 });
    const told: unknown[] = [];
    await desk.events.subscribe(job.id, (event) => {
      if (event.type === 'progress') told.push(event.progress);
    });
    const first = await desk.drawing();
    first.listeners.onProgress!({ phase: 'decoding', step: 4, steps: 4 });
    first.finish();
    const second = await desk.drawing();
    second.listeners.onProgress!({ phase: 'text', step: 0, steps: 5 });
    second.listeners.onProgress!({ phase: 'sampling', step: 5, steps: 5 });
    expect(await second.listeners.previewsWanted!()).toBe(false);
    second.finish();
    const { result, state } = await desk.ended(job);
    expect([state, result!.warnings]).toEqual(['succeeded', ['a warning']]);
    const [drawn, painted] = desk.pipeline.requests;
    const { image, width, height, steps, ...others } = painted;
    expect({ ...others, width: 128, height: 192, steps: 4 }).toEqual({ ...drawn, count: undefined });
    expect({ width, height, steps, strength: image!.strength }).toEqual({
      width: 128,
      height: 128,
      steps: 8,
      strength: 0.5,
    });
    expect(image!.pixels.equals(Buffer.alloc(128 * 128 * 3, 7))).toBe(true);
    expect(told).toEqual([
      { phase: 'sampling', step: 4, steps: 9 },
      { phase: 'sampling', step: 4, steps: 9 },
      { phase: 'sampling', step: 9, steps: 9 },
    ]);
    expect([result!.timings.sampling_ms, result!.paintedFaces]).toEqual([8, 1]);
  });

  it('should leave what has no face as it is, and say so', async () => {
    faces = [[], [FACE], undefined];
    const job = await submit({ count: 3 });
    for (let i = 0; i < 2; i++) (await desk.drawing()).finish();
    const { result } = await desk.ended(job);
    expect(desk.pipeline.requests.map(({ seed }) => seed)).toEqual([40, 41]);
    expect(result!.paintedFaces).toBe(1);
    expect(result!.timings.faces_ms).toBeGreaterThanOrEqual(3 * 2 - 1);
    expect(result!.warnings.slice(1)).toEqual([
      'No face was found in 1 of the 3 pictures to paint again (face_detail).',
      'Nobody could look for a face in 1 of the 3 pictures: none was painted again (face_detail).',
    ]);
  });

  it('should free the engine when the last face is painted', async () => {
    // Each try is searched twice: for a face to paint, and for the one that is required.
    faces = [[FACE], [], [FACE], [FACE]];
    const job = await submit({ candidates: 2, requireFace: true });
    const next = await desk.submit('a bear');
    for (const seed of [40, 40, 41, 41]) {
      const drawing = await desk.drawing();
      expect([drawing.prompt, desk.pipeline.requests.at(-1)!.seed]).toEqual(['a fox', seed]);
      drawing.finish();
    }
    const after = await desk.drawing();
    expect(after.prompt).toBe('a bear');
    after.finish();
    for (const one of [job, next]) expect((await desk.ended(one)).state).toBe('succeeded');
  });

  it.each([
    ['the job is cancelled', (id: string) => desk.jobs.cancel(id)],
    ['its user is deleted', () => desk.jobs.removeUser(USER)],
  ])('should store nothing when %s while the face is painted', async (what, end) => {
    faces = [[FACE]];
    const job = await submit({ userId: USER });
    (await desk.drawing()).finish();
    const second = await desk.drawing();
    await end(job.id);
    expect(second.prompt).toBe('a fox');
    const next = await desk.submit('a bear');
    (await desk.drawing()).finish();
    await desk.ended(next);
    expect(desk.storage.keys).toEqual([next.picture.key]);
    const files = readdirSync(desk.records.folder!).map((name) =>
      readFileSync(join(desk.records.folder!, name)),
    );
    expect(Buffer.concat(files).includes(USER)).toBe(what !== 'its user is deleted');
  });
});
