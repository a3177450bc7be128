import { ServiceError } from '@app/errors';
import { likeness } from '@app/faces';
import { REFERENCE_SIDE } from '@app/models/family';
import type { GeneratedPicture, GenerateRequest } from '@app/pipeline';
import type { PictureJob } from '../picture.job';
import type { FaceDetail } from './face.detail';
import type { FaceSight, JobFaces, LookTurn } from './job.faces';

/** What is known of a picture beside its pixels. */
export interface Choice {
  /** Of each picture. */
  readonly seeds: readonly number[];
  /** Pictures that it was chosen from. */
  readonly tries: number;
  /** Of each picture, 0..1; undefined: not measured. */
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
  readonly seeds: readonly number[];
  readonly sights: readonly (FaceSight | undefined)[];
  readonly likeness: readonly (number | undefined)[];
}

/**
 * The tries of one job with a reference picture, of which the most like becomes the answer: looked at as they come, while the
 * next is drawn. Of those that are worse nothing is kept, unless all are wanted.
 */
export class Candidates {
  /** How many are drawn at most. */
  readonly most: number;
  /** Of somebody: without a face in it, it is not what was asked for. */
  private readonly isPortrait: boolean;
  private reference: Promise<FaceSight | undefined> = Promise.resolve(undefined);
  private best: Promise<Try | undefined> = Promise.resolve(undefined);
  /** All of them, where these are wanted. */
  private readonly all: Promise<Try>[] = [];
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
    // Through the IP-Adapter an avatar may be anything; PhotoMaker draws people.
    this.isPortrait = job.route === 'subject' || request.identity !== undefined;
  }

  /** Takes pictures until there are enough. */
  async take(pictures: AsyncIterable<GeneratedPicture>): Promise<void> {
    this.reference = this.lookAtReference();
    for await (const picture of pictures) {
      const seed = this.job.seed + this.tries++;
      for (const phase of Object.keys(this.timings) as (keyof typeof this.timings)[])
        this.timings[phase] += picture.timings[phase];
      this.mergedAnew ||= picture.mergedAnew;
      const look = this.look(picture, seed);
      if (this.job.allCandidates) this.all.push(look);
      this.best = Promise.all([this.best, look]).then(([best, one]) => better(best, one));
      this.best.catch(() => {}); // told when it is asked for
      if (this.tries < this.most && (await this.isEnough())) break;
    }
  }

  /** The best of them, or all. Throws `no_face` where a face is asked for, and none has one. */
  async choose(): Promise<ChosenPicture> {
    const best = (await this.wait(this.best))!;
    const reference = await this.wait(this.reference);
    const chosen = this.job.allCandidates ? together(await Promise.all(this.all)) : best;
    const { picture, seeds, sights, likeness } = chosen;
    if (this.job.requireFace) assertFace(best);
    return {
      ...picture,
      ...{ timings: this.timings, mergedAnew: this.mergedAnew },
      warnings: [...picture.warnings, ...this.warnings(chosen, reference)],
      choice: {
        ...{ seeds, tries: this.tries, likeness, paintedFaces: this.detail?.painted },
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
    const to = (await this.reference)?.descriptor;
    const isWanted = this.job.requireFace || (this.isPortrait && this.faces.finds);
    const { pixels, width, height } = picture;
    const bytes = width * height * 3;
    const seeds = Array.from({ length: pixels.length / bytes }, (_, i) => seed + i);
    // An avatar without a face: there is nothing to compare with.
    if (!to && !isWanted) return { picture, seeds, sights, likeness: [] };
    for (let start = 0; start < pixels.length; start += bytes) {
      const one = { pixels: pixels.subarray(start, start + bytes), width, height };
      sights.push(await this.faces.look(one, this.turn));
    }
    const compared = sights.map((sight) => to && sight?.descriptor && likeness(to, sight.descriptor));
    return { picture, seeds, sights, likeness: compared };
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
    const { route, minLikeness, candidates, requireFace } = this.job;
    const chooses = candidates !== undefined || minLikeness !== undefined;
    const { sights } = best;
    const unseen = sights.filter((sight) => !sight).length;
    const faceless = sights.filter((sight) => sight?.hasFace === false).length;
    const where = (few: number) =>
      sights.length === 1 ? 'the picture' : `${few} of the ${sights.length} pictures`;
    const warnings: string[] = [];
    if (chooses && (unseen > 0 || !reference))
      warnings.push('Nobody could look for faces: the picture was not chosen by its likeness.');
    else if (unseen > 0 && (this.isPortrait || requireFace))
      warnings.push(`Nobody could look for faces in ${where(unseen)}: there may be none.`);
    if (chooses && reference?.hasFace === false)
      warnings.push('No face was found in the reference picture: there is no likeness to choose by.');
    // Of what a picture at an address is to show nothing is known.
    const expected = this.isPortrait || requireFace || (reference?.hasFace && route !== 'generations');
    if (faceless > 0 && expected) warnings.push(`No face was found in ${where(faceless)}.`);
    const most = mostOf(best);
    if (minLikeness !== undefined && best.likeness[0] !== undefined && most < minLikeness)
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

/** As one batch, the best first. */
function together(all: readonly Try[]): Try {
  const sorted = [...all].sort((one, other) => rank(other) - rank(one));
  return {
    picture: { ...sorted[0].picture, pixels: Buffer.concat(sorted.map(({ picture }) => picture.pixels)) },
    seeds: sorted.flatMap(({ seeds }) => seeds),
    sights: sorted.flatMap(({ sights }) => sights),
    likeness: sorted.flatMap(({ likeness }) => likeness),
  };
}

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
