import { ServiceError } from '@app/errors';
import { likeness } from '@app/faces';
import { REFERENCE_SIDE } from '@app/models/family';
import type { GeneratedPicture, GenerateRequest } from '@app/pipeline';
import type { PictureJob } from '../picture.job';
import type { FaceDetail } from './face.detail';
import type { FaceSight, JobFaces, LookTurn } from './job.faces';

/** What is known of a picture beside its pixels. */
export interface Choice {
  readonly seed: number;
  /** Pictures that it was chosen from. */
  readonly tries: number;
  /** Of each picture of the batch, 0..1; undefined: not measured. */
  readonly likeness: readonly (number | undefined)[];
  /** Milliseconds that the job waited for faces to be found. */
  readonly faces: number;
  /** Those that were painted again; undefined: none was to be. */
  readonly paintedFaces?: number;
}

export type ChosenPicture = GeneratedPicture & { readonly choice?: Choice };

/** One try; what was seen in each of its pictures. */
interface Try {
  readonly picture: GeneratedPicture;
  readonly seed: number;
  readonly sights: readonly (FaceSight | undefined)[];
  readonly likeness: readonly (number | undefined)[];
}

/**
 * The tries of one job with a reference picture, of which the most like becomes the answer: looked at as they come, while the
 * next is drawn. Of those that are worse nothing is kept.
 */
export class Candidates {
  /** How many are drawn at most. */
  readonly most: number;
  private readonly looks: boolean;
  private reference: Promise<FaceSight | undefined> = Promise.resolve(undefined);
  private best: Promise<Try | undefined> = Promise.resolve(undefined);
  private readonly timings = { text: 0, image: 0, sampling: 0, decode: 0, engine: 0 };
  private mergedAnew = false;
  private tries = 0;
  private waited = 0;

  constructor(
    private readonly job: PictureJob,
    private readonly request: Pick<GenerateRequest, 'reference' | 'identity'>,
    private readonly faces: JobFaces,
    private readonly turn: LookTurn,
    private readonly detail?: Pick<FaceDetail, 'painted' | 'looked'>,
  ) {
    this.most = job.candidates ?? 1;
    const compares = faces.compares && (request.reference ?? request.identity) !== undefined;
    this.looks = compares || job.requireFace === true;
  }

  /** Takes pictures until there are enough. */
  async take(pictures: AsyncIterable<GeneratedPicture>): Promise<void> {
    this.reference = this.lookAtReference();
    for await (const picture of pictures) {
      const seed = this.job.seed + this.tries++;
      for (const phase of Object.keys(this.timings) as (keyof typeof this.timings)[])
        this.timings[phase] += picture.timings[phase];
      this.mergedAnew ||= picture.mergedAnew;
      this.best = Promise.all([this.best, this.look(picture, seed)]).then(([best, one]) => better(best, one));
      this.best.catch(() => {}); // told when it is asked for
      if (this.tries < this.most && (await this.isEnough())) break;
    }
  }

  /** The best of them. Throws `no_face` where a face is asked for, and none has one. */
  async choose(): Promise<ChosenPicture> {
    const best = (await this.wait(this.best))!;
    const reference = await this.wait(this.reference);
    const { picture, seed, sights, likeness } = best;
    if (this.job.requireFace) assertFace(best);
    return {
      ...picture,
      ...{ timings: this.timings, mergedAnew: this.mergedAnew },
      warnings: [...picture.warnings, ...this.warnings(best, reference)],
      choice: {
        ...{ seed, tries: this.tries, likeness, paintedFaces: this.detail?.painted },
        faces: (sights.length > 0 ? this.waited : 0) + (this.detail?.looked ?? 0),
      },
    };
  }

  /** Whether no other try is wanted: it is like enough, or there is nothing to choose by. */
  private async isEnough(): Promise<boolean> {
    const { minLikeness, requireFace } = this.job;
    const reference = await this.wait(this.reference);
    if (!reference?.descriptor) return !requireFace || hasFace(await this.wait(this.best));
    if (minLikeness === undefined) return false;
    return mostOf(await this.wait(this.best)) >= minLikeness;
  }

  private async look(picture: GeneratedPicture, seed: number): Promise<Try> {
    const sights: (FaceSight | undefined)[] = [];
    const to = this.looks ? (await this.reference)?.descriptor : undefined;
    // An avatar without a face: there is nothing to compare with.
    if (!to && !this.job.requireFace) return { picture, seed, sights, likeness: [] };
    const { pixels, width, height } = picture;
    const bytes = width * height * 3;
    for (let start = 0; start < pixels.length; start += bytes) {
      const one = { pixels: pixels.subarray(start, start + bytes), width, height };
      sights.push(await this.faces.look(one, this.turn));
    }
    const compared = sights.map((sight) => to && sight?.descriptor && likeness(to, sight.descriptor));
    return { picture, seed, sights, likeness: compared };
  }

  /** What the model saw of it: the job's own copy. */
  private async lookAtReference(): Promise<FaceSight | undefined> {
    const { reference, identity } = this.request;
    const pixels = reference?.pixels ?? identity?.pictures[0];
    if (!pixels || !this.faces.compares) return undefined;
    const look = this.faces.look({ pixels, width: REFERENCE_SIDE, height: REFERENCE_SIDE }, this.turn);
    look.catch(() => {}); // told when it is asked for
    return look;
  }

  private warnings(best: Try, reference?: FaceSight): string[] {
    const { route, minLikeness, candidates } = this.job;
    const chooses = candidates !== undefined || minLikeness !== undefined;
    const { sights } = best;
    if (sights.includes(undefined) || (chooses && !reference))
      return chooses ? ['Nobody could look for faces: the picture was not chosen by its likeness.'] : [];
    if (chooses && !reference!.hasFace)
      return ['No face was found in the reference picture: there is no likeness to choose by.'];
    const faceless = sights.filter((sight) => !sight!.hasFace).length;
    const where = sights.length === 1 ? 'the picture' : `${faceless} of the ${sights.length} pictures`;
    // Of what a picture at an address is to show nothing is known.
    const expected = this.job.requireFace || (reference?.hasFace && route !== 'generations');
    const warnings = faceless > 0 && expected ? [`No face was found in ${where}.`] : [];
    const most = mostOf(best);
    if (minLikeness !== undefined && faceless === 0 && most < minLikeness)
      warnings.push(`The likeness is ${most}, below the min_likeness of ${minLikeness}.`);
    return warnings;
  }

  private async wait<T>(look: Promise<T>): Promise<T> {
    const begun = performance.now();
    try {
      return await look;
    } finally {
      this.waited += performance.now() - begun;
    }
  }
}

/** The first of those that are alike. */
const better = (best: Try | undefined, one: Try): Try => (best && rank(best) >= rank(one) ? best : one);

/** A face that nothing is known to be like is better than none. */
const rank = (one: Try): number => (hasFace(one) ? mostOf(one) : -1);

const mostOf = (one?: Try): number => Math.max(0, ...(one?.likeness ?? []).map((value) => value ?? 0));

const hasFace = (one?: Try): boolean => one?.sights.some((sight) => sight?.hasFace) ?? false;

function assertFace({ sights }: Try): void {
  if (sights.some((sight) => sight?.hasFace)) return;
  if (sights.includes(undefined))
    throw new ServiceError('generation_failed', 'Nobody could look for the face that require_face asks for');
  throw new ServiceError('no_face', 'No face was found in what was drawn (require_face)', 'require_face');
}
