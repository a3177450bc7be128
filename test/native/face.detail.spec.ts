import sharp from 'sharp';
import { Session } from '#native';
import { Config } from '@app/config';
import { FaceFinder } from '@app/faces';
import type { GeneratedPicture, GenerateRequest } from '@app/pipeline';
import { FaceDetail } from '../../libs/jobs/worker/face.detail';
import { JobFaces } from '../../libs/jobs/worker/job.faces';
import { demoModel } from '../support/demo';
import { ASTRONAUT, FACE, UnbuiltFaceProcess } from '../support/face.pictures';

/** The portrait is as small as this, and was enlarged from one that the engine draws soon. */
const SIDE = 256;
const DRAWN = 64;

describe('The addon: a face of a picture, painted again', () => {
  let session: Session;
  let finder: FaceFinder;
  let portrait: Buffer;
  const request = {
    ...{ prompt: 'a panda', negativePrompt: '', loras: [], width: DRAWN, height: DRAWN },
    ...{ upscaler: 'nothing.safetensors', steps: 1, seed: 7, guidanceScale: 1 },
  } satisfies GenerateRequest;

  beforeAll(async () => {
    const { checkpoint: model } = await demoModel();
    session = await Session.load({ model, textEncoderType: 'q8_0' });
    finder = new FaceFinder(new UnbuiltFaceProcess());
    portrait = await sharp(ASTRONAUT).removeAlpha().resize(SIDE).raw().toBuffer();
  }, 120_000);
  afterAll(() => {
    finder.onApplicationShutdown();
    session.close();
  });

  async function refine(
    pixels: Buffer,
  ): Promise<{ after: Buffer; warnings: readonly string[]; painted: number }> {
    const detail = new FaceDetail(
      { steps: 1, faceDetail: { steps: 1, strength: 0.6 } },
      request,
      new JobFaces(new Config(), finder),
      { caller: 'spec' },
    );
    let painted = 0;
    const drawn = { pixels: Buffer.from(pixels), width: SIDE, height: SIDE, timings: {}, warnings: [] };
    const { pixels: after, warnings } = await detail.refine(
      drawn as unknown as GeneratedPicture,
      7,
      async (again) => {
        painted++;
        const { loras, ...options } = again;
        return {
          ...(await session.generate({ ...options, loras: [...loras] })),
          warnings: [],
          mergedAnew: false,
        };
      },
    );
    return { after, warnings, painted };
  }
  /** Pixels of the portrait that changed by more than a little, in the face, in the square around it, and beyond. */
  function changes(after: Buffer) {
    const counts = { face: 0, around: 0, beyond: 0 };
    const scale = SIDE / 512;
    const margin = 40 * scale + 2;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const at = (y * SIDE + x) * 3;
        if (after.readUIntBE(at, 3) === portrait.readUIntBE(at, 3)) continue;
        const isIn = (by: number) =>
          x >= FACE.x * scale - by &&
          x < (FACE.x + FACE.width) * scale + by &&
          y >= FACE.y * scale - by &&
          y < (FACE.y + FACE.height) * scale + by;
        counts[isIn(0) ? 'face' : isIn(margin) ? 'around' : 'beyond']++;
      }
    }
    return counts;
  }

  it('should change the face, and nothing beyond the square around it, always alike', async () => {
    const first = await refine(portrait);
    expect(first).toMatchObject({ warnings: [], painted: 1 });
    const { face, beyond } = changes(first.after);
    const area = (FACE.width * FACE.height) / 4;
    expect([face > area * 0.9, beyond]).toEqual([true, 0]);
    expect((await refine(portrait)).after.equals(first.after)).toBe(true);
  }, 120_000);

  it('should leave a picture without a face to the bit, and say so', async () => {
    const plain = Buffer.alloc(portrait.length, 90);
    const { after, warnings, painted } = await refine(plain);
    expect([painted, after.equals(plain)]).toEqual([0, true]);
    expect(warnings).toEqual(['No face was found in the picture to paint again (face_detail).']);
  }, 60_000);
});
