import type { GeneratedPicture } from '@app/pipeline';
import { draft } from '../../../test/support/jobs';
import type { PictureJob } from '../picture.job';
import { Candidates } from './candidates';
import type { FaceSight, JobFaces } from './job.faces';

const REFERENCE = 200;
const TURN = { caller: 'me' };
const NONE = 'No face was found in the picture.';

describe(Candidates.name, () => {
  /** What is seen in a picture, by its first byte: the second number of a descriptor says how unlike it is. */
  let seen: Record<number, FaceSight | undefined>;
  /** Pictures, by their first byte, in the order in which they were asked for. */
  let drawn: number[];

  const face = (unlike: number): FaceSight => ({ hasFace: true, descriptor: [1, unlike] });
  const NO_FACE: FaceSight = { hasFace: false };
  let looking: Pick<JobFaces, 'finds' | 'compares'>;

  beforeEach(() => {
    [seen, drawn] = [{ [REFERENCE]: face(0) }, []];
    looking = { finds: true, compares: true };
  });

  /** Of one pixel each, or of a batch. */
  async function* pictures(...firsts: number[][]): AsyncGenerator<GeneratedPicture> {
    for (const batch of firsts) {
      drawn.push(batch[0]);
      yield {
        ...{ pixels: Buffer.from(batch.flatMap((first) => [first, 0, 0])), width: 1, height: 1 },
        ...{ timings: { text: 1, image: 2, sampling: 3, decode: 4, engine: 10 }, idle: 0 },
        ...{ warnings: [`of ${batch[0]}`], mergedAnew: batch[0] === 1 },
      };
      await Promise.resolve();
    }
  }

  async function choose(options: Partial<PictureJob>, ...firsts: number[][]) {
    const job = draft({ picture: { route: 'subject', seed: 40, ...options } }).picture;
    const pixels = Buffer.alloc(3, REFERENCE);
    const request = options.identityStrength
      ? { identity: { pictures: [pixels], strength: 1 } }
      : { reference: { pixels, strength: 1 } };
    const look = ({ pixels: looked }: { pixels: Uint8Array }) => Promise.resolve(seen[looked[0]]);
    const faces = { ...looking, look } as unknown as JobFaces;
    const candidates = new Candidates(job, request, faces, TURN);
    await candidates.take(pictures(...firsts));
    const { choice, pixels: chosen, ...picture } = await candidates.choose();
    const all = [...chosen].filter((_, i) => i % 3 === 0);
    return { ...picture, ...choice, first: chosen[0], pixels: all, faces: typeof choice!.faces };
  }

  it('should take the most like, with its seed, the times of all and its own warnings', async () => {
    seen = { ...seen, 1: face(2), 2: face(0.2), 3: face(1) };
    expect(await choose({ candidates: 3 }, [1], [2], [3])).toEqual({
      ...{
        first: 2,
        pixels: [2],
        seeds: [41],
        tries: 3,
        likeness: [0.981],
        faces: 'number',
        warnings: ['of 2'],
      },
      ...{ timings: { text: 3, image: 6, sampling: 9, decode: 12, engine: 30 }, mergedAnew: true },
      ...{ idle: 0, width: 1, height: 1 },
    });
  });

  it('should take the first of those without a face, and say so; any face before them', async () => {
    seen = { ...seen, 1: NO_FACE, 2: NO_FACE, 3: { ...face(9), descriptor: [0, 1] } };
    const none = await choose({ candidates: 2 }, [1], [2]);
    expect(none).toMatchObject({ first: 1, seeds: [40], tries: 2, likeness: [undefined] });
    expect(none.warnings).toEqual(['of 1', 'No face was found in the picture.']);
    expect(await choose({ candidates: 2 }, [1], [3])).toMatchObject({ first: 3, likeness: [0] });
  });

  it('should give all where they are wanted, the best first, and say how many show no face', async () => {
    seen = { ...seen, 1: NO_FACE, 2: face(1), 3: face(0.2) };
    const options = { candidates: 4, allCandidates: true };
    expect(await choose(options, [1], [2], [3], [1])).toMatchObject({
      ...{ pixels: [3, 2, 1, 1], seeds: [42, 41, 40, 43], likeness: [0.981, 0.707, undefined, undefined] },
      ...{ tries: 4, warnings: ['of 3', 'No face was found in 2 of the 4 pictures.'] },
    });
    const enough = await choose({ ...options, minLikeness: 0.9 }, [2], [3], [1], [1]);
    expect(enough).toMatchObject({ pixels: [3, 2], seeds: [41, 40], tries: 2, warnings: ['of 3'] });
  });

  it('should draw no more once one is like enough, and say so where none is', async () => {
    seen = { ...seen, 1: face(2), 2: face(0.2), 3: face(0) };
    const options = { candidates: 3, minLikeness: 0.9 };
    expect(await choose(options, [1], [2], [3])).toMatchObject({ first: 2, tries: 2, warnings: ['of 2'] });
    expect(drawn).toEqual([1, 2]);
    const { first, warnings } = await choose({ ...options, minLikeness: 0.99 }, [1], [2], [1]);
    expect(first).toBe(2);
    expect(warnings).toEqual(['of 2', 'The likeness is 0.981, below the min_likeness of 0.99.']);
  });

  it('should draw one where nothing is known of the reference, unless a face is wanted', async () => {
    seen = { [REFERENCE]: NO_FACE, 1: NO_FACE, 2: face(1), 3: face(2) };
    const blind = await choose({ candidates: 3 }, [1], [2], [3]);
    expect(blind).toMatchObject({ first: 1, tries: 1, likeness: [undefined] });
    const noReference = 'No face was found in the reference picture: there is no likeness to choose by.';
    expect(blind.warnings.slice(1)).toEqual([noReference, NONE]);
    expect(await choose({ candidates: 3, requireFace: true }, [1], [2], [3])).toMatchObject({
      ...{ first: 2, tries: 2 },
    });
    seen = {};
    const failed = await choose({ candidates: 3 }, [1], [2], [3]);
    expect(failed).toMatchObject({ first: 1, tries: 1 });
    expect(failed.warnings.slice(1)).toEqual([
      'Nobody could look for faces: the picture was not chosen by its likeness.',
    ]);
  });

  it.each([
    ['a portrait', { route: 'subject' }],
    ['a person by PhotoMaker', { route: 'memory', identityStrength: 0.8 }],
  ] as const)('should say that %s shows no face, whatever the reference shows', async (_, options) => {
    seen = { [REFERENCE]: NO_FACE, 1: NO_FACE, 2: { hasFace: true } };
    expect((await choose(options, [1])).warnings).toEqual(['of 1', NONE]);
    expect((await choose(options, [2])).warnings).toEqual(['of 2']);
    const batch = await choose({ ...options, count: 3 }, [1, 2, 1]);
    expect(batch.warnings).toEqual(['of 1', 'No face was found in 2 of the 3 pictures.']);
    seen = { [REFERENCE]: NO_FACE };
    const unseen = 'Nobody could look for faces in the picture: there may be none.';
    expect((await choose(options, [1])).warnings).toEqual(['of 1', unseen]);
    looking = { finds: true, compares: false };
    seen = { 1: NO_FACE };
    expect((await choose(options, [1])).warnings).toEqual(['of 1', NONE]);
    looking = { finds: false, compares: false };
    expect((await choose(options, [1])).warnings).toEqual(['of 1']);
  });

  it('should ask no face of what the IP-Adapter makes of an avatar without one', async () => {
    seen = { [REFERENCE]: NO_FACE, 1: NO_FACE };
    const memory = { route: 'memory' } as const;
    expect((await choose(memory, [1])).warnings).toEqual(['of 1']);
    seen = {};
    expect((await choose(memory, [1])).warnings).toEqual(['of 1']);
    seen = { [REFERENCE]: face(0), 1: NO_FACE };
    expect((await choose(memory, [1])).warnings).toEqual(['of 1', NONE]);
  });

  it('should take no picture without a face where one is required', async () => {
    seen = { ...seen, 1: NO_FACE, 2: NO_FACE };
    const options = { candidates: 2, requireFace: true };
    await expect(choose(options, [1], [2])).rejects.toMatchObject({ code: 'no_face' });
    seen = { [REFERENCE]: face(0) };
    await expect(choose(options, [1], [2])).rejects.toMatchObject({ code: 'generation_failed' });
  });

  it('should measure each picture of a batch', async () => {
    seen = { ...seen, 1: face(0), 2: NO_FACE, 3: face(0.2) };
    const batch = await choose({ count: 3 }, [1, 2, 3]);
    expect(batch).toMatchObject({ tries: 1, likeness: [1, undefined, 0.981] });
    expect(batch.warnings).toEqual(['of 1', 'No face was found in 1 of the 3 pictures.']);
  });
});
