import { faceSide, SIZE_STEP, stepsOf } from '@app/models/family';
import type { GeneratedPicture, GenerateRequest } from '@app/pipeline';
import { aroundFace, cutOut, keepUnmasked, putBack, resized, type Region } from '@app/pictures';
import type { PictureJob } from '../picture.job';
import type { JobFaces, LookTurn } from './job.faces';

/** Has a picture drawn. */
type Paint = (request: GenerateRequest) => Promise<GeneratedPicture>;

/**
 * Faces that are small in a picture have few pixels to be drawn with: the largest one is painted again, as large as the model
 * draws best, and put back.
 */
export class FaceDetail {
  /** Sampling steps of all pictures of the batch, where each has a face. */
  readonly steps: number;
  /** Faces that were painted. */
  painted = 0;
  /** Milliseconds that looking for them took. */
  looked = 0;

  constructor(
    private readonly job: Pick<PictureJob, 'steps' | 'count'> & Required<Pick<PictureJob, 'faceDetail'>>,
    private readonly request: GenerateRequest,
    private readonly faces: Pick<JobFaces, 'largest'>,
    private readonly turn: LookTurn,
  ) {
    this.steps = stepsOf(job).faces;
  }

  /** The same pictures, with their faces painted again. `seed`: of the first. */
  async refine(picture: GeneratedPicture, seed: number, paint: Paint): Promise<GeneratedPicture> {
    const { width, height } = picture;
    const bytes = width * height * 3;
    const count = picture.pixels.length / bytes;
    const timings = { ...picture.timings };
    const without = { face: 0, look: 0 };
    for (let i = 0; i < count; i++) {
      const one = { pixels: picture.pixels.subarray(i * bytes, (i + 1) * bytes), width, height };
      const begun = performance.now();
      const face = await this.faces.largest(one, this.turn);
      this.looked += performance.now() - begun;
      if (!face) {
        without[face === null ? 'face' : 'look']++;
        continue;
      }
      const square = squareAround(face, picture);
      const painted = await paint(await this.again(one, square, seed + i));
      for (const phase of ['text', 'image', 'sampling', 'decode', 'engine'] as const) {
        timings[phase] += painted.timings[phase];
      }
      this.painted++;
      await putBack(one, square, await resized(painted, square));
    }
    const { image, mask } = this.request;
    if (image && mask) keepUnmasked(picture.pixels, image.pixels, mask);
    return { ...picture, timings, warnings: [...picture.warnings, ...warningsOf(without, count)] };
  }

  /** What the face is painted by: everything but its size as the picture was. */
  private async again(
    picture: { readonly pixels: Buffer; readonly width: number; readonly height: number },
    square: Region,
    seed: number,
  ): Promise<GenerateRequest> {
    const { steps, strength } = this.job.faceDetail;
    const side = this.side(square);
    const part = { pixels: cutOut(picture, square), width: square.width, height: square.height };
    const pixels = await resized(part, { width: side, height: side });
    return {
      ...this.request,
      ...{ width: side, height: side, steps, seed, image: { pixels, strength } },
      ...{ mask: undefined, count: undefined, hires: undefined, upscaler: undefined, control: undefined },
    };
  }

  /** Never smaller than the face is already, where a picture as large was drawn. */
  private side({ width }: Region): number {
    const { width: most, height } = this.request.hires ?? this.request;
    const own = Math.min(
      Math.ceil(width / SIZE_STEP) * SIZE_STEP,
      Math.floor(Math.min(most, height) / SIZE_STEP) * SIZE_STEP,
    );
    return Math.max(faceSide(this.request), own);
  }
}

function squareAround(face: Region, picture: GeneratedPicture): Region {
  const { x, y, width, height } = aroundFace(face, picture, 'face');
  const side = Math.min(width, height);
  return { x: x + ((width - side) >> 1), y: y + ((height - side) >> 1), width: side, height: side };
}

function warningsOf(
  { face, look }: { readonly face: number; readonly look: number },
  count: number,
): string[] {
  const where = (few: number) => (count === 1 ? 'the picture' : `${few} of the ${count} pictures`);
  return [
    ...(face > 0 ? [`No face was found in ${where(face)} to paint again (face_detail).`] : []),
    ...(look > 0
      ? [`Nobody could look for a face in ${where(look)}: none was painted again (face_detail).`]
      : []),
  ];
}
