import { drawnSize, faceSide, gridSize, stepsOf, type HiresUpscaler } from '@app/models/family';
import type { Output } from '@app/pictures';
import type { GenerateRequest } from '@app/pipeline';

export const PICTURE_ROUTES = ['memory', 'subject', 'generations'] as const;
export type PictureRoute = (typeof PICTURE_ROUTES)[number];

/** A LoRA as a job names it: the worker finds the file by name and refuses one with another hash. */
export interface JobLora {
  readonly name: string;
  /** -2..2 */
  readonly scale: number;
  /** Hexadecimal, of the file as it was when the job was accepted. */
  readonly sha256: string;
}

/** An upscaler, likewise. */
export type JobUpscaler = Omit<JobLora, 'scale'>;

/** A second sampling at a larger size. */
export interface JobHires {
  /** As it was asked for; the size is the nearest that can be asked for. */
  readonly scale: number;
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly strength: number;
  /** How the first picture becomes larger: this, or by a model. */
  readonly upscaler?: HiresUpscaler;
  readonly model?: JobUpscaler;
}

/** How a ControlNet guides a picture. */
export interface JobControl {
  readonly name: string;
  /** 0..2 */
  readonly strength: number;
  /** It sees the edges of its picture. */
  readonly canny?: boolean;
}

/** The largest face is painted again, larger, by image to image. */
export interface JobFaceDetail {
  readonly steps: number;
  readonly strength: number;
}

/** A picture to make, or a batch of them: everything is decided, nothing is pixels, and it survives JSON. */
export interface PictureJob extends Omit<
  GenerateRequest,
  'reference' | 'identity' | 'loras' | 'image' | 'mask' | 'control' | 'hires' | 'upscaler'
> {
  /** 24 hexadecimal digits. */
  readonly id: string;
  readonly route: PictureRoute;
  readonly userId?: string;
  /** The model that was named; absent: the first of those that there are when it is drawn. */
  readonly model?: string;
  readonly loras: readonly JobLora[];
  /** Where the copy of its reference picture is stored: a PNG of 224 x 224 pixels. Absent: it has none. */
  readonly referenceKey?: string;
  /** PhotoMaker gets several of them. */
  readonly moreReferenceKeys?: readonly string[];
  /** Which of the user's photos those are copies of. */
  readonly photos?: readonly number[];
  /** What is to be told of those that are not, whatever becomes of the others. */
  readonly warnings?: readonly string[];
  /** The same of the picture that it begins from, of its own size, and of the mask of that. */
  readonly imageKey?: string;
  readonly maskKey?: string;
  /** The same of the picture that a ControlNet sees. */
  readonly controlKey?: string;
  readonly control?: JobControl;
  /** Of the picture to begin from: 0..1. */
  readonly strength?: number;
  /** Where the first picture goes, see `keysOf`; made from `id`, so a second run overwrites itself. */
  readonly key: string;
  /** What the result becomes; absent: a PNG. */
  readonly output?: Output;
  readonly ipAdapterScale: number;
  readonly hires?: JobHires;
  /** Enlarges the picture when it is drawn. */
  readonly upscaler?: JobUpscaler;
  /** The reference picture goes to PhotoMaker, not to the IP-Adapter: 0..1. */
  readonly identityStrength?: number;
  readonly faceDetail?: JobFaceDetail;
  /** So many are drawn one after the other, of seeds that follow each other: the most like becomes the result. */
  readonly candidates?: number;
  /** All of them become the result, the most like first. */
  readonly allCandidates?: boolean;
  /** 0..1: no other candidate is drawn once one is as like. */
  readonly minLikeness?: number;
  /** Without a face in it the result is none. */
  readonly requireFace?: boolean;
}

type Inputs = Pick<PictureJob, 'referenceKey' | 'moreReferenceKeys' | 'imageKey' | 'maskKey' | 'controlKey'>;

/** Copies of pictures that it is made from. */
export const inputsOf = ({ imageKey, maskKey, controlKey, ...references }: Inputs): string[] =>
  [...referencesOf(references), imageKey, maskKey, controlKey].filter((key) => key !== undefined);

/** Those of its reference pictures. */
export const referencesOf = ({
  referenceKey,
  moreReferenceKeys = [],
}: Pick<Inputs, 'referenceKey' | 'moreReferenceKeys'>): string[] =>
  referenceKey === undefined ? [] : [referenceKey, ...moreReferenceKeys];

/** What is known of its work: while it waits that of all candidates and faces, then of those that were drawn. */
export function workOf(
  picture: PictureJob,
  { tries = picture.candidates ?? 1, paintedFaces }: Pick<PictureResult, 'tries' | 'paintedFaces'> = {},
) {
  const size = drawnSize(picture);
  const count = (picture.count ?? 1) * tries;
  const { first, second, faces } = stepsOf({ ...picture, count, paintedFaces });
  const base = gridSize(picture);
  const pixels = size.width * size.height;
  const share = (base.width * base.height) / pixels;
  return {
    ...size,
    /** Of all pictures together; those at a smaller size count less. */
    steps: Math.max(1, Math.round(first * share + second + (faces * faceSide(picture) ** 2) / pixels)),
    count,
    /** A picture is read for it. */
    reference: inputsOf(picture).length > 0,
  };
}

type Placed = Pick<PictureJob, 'key' | 'count' | 'candidates' | 'allCandidates'>;

/** Where its pictures go: `NAME.png`, `NAME-2.png`, ... `tries`: candidates that were drawn, once that is known. */
export const keysOf = (
  { key, count = 1, candidates = 1, allCandidates }: Placed,
  tries = candidates,
): string[] =>
  Array.from({ length: allCandidates ? tries : count }, (_, i) =>
    i === 0 ? key : key.replace(/(?=\.\w+$)/, `-${i + 1}`),
  );

/** Where the time of a picture went: whole milliseconds, from its request to its end. */
export interface Timings {
  readonly queue_ms: number;
  readonly text_ms: number;
  readonly image_ms: number;
  readonly sampling_ms: number;
  readonly decode_ms: number;
  readonly encode_ms: number;
  readonly store_ms: number;
  /** Absent: written by a process that did not measure it. */
  readonly faces_ms?: number;
  readonly total_ms: number;
}

export interface StoredPicture {
  readonly key: string;
  readonly s3_uri: string;
  readonly seed: number;
  /** To the reference picture, 0..1; absent: not measured, or one of them shows no face. */
  readonly likeness?: number;
}

/** The first picture, and what it shares with others of the batch. */
export interface PictureResult extends StoredPicture {
  /** The others; absent: none. */
  readonly more?: readonly StoredPicture[];
  /** WIDTHxHEIGHT of each picture that was made. */
  readonly size: string;
  readonly timings: Timings;
  readonly warnings: readonly string[];
  /** Candidates that were drawn; absent: one. */
  readonly tries?: number;
  /** Of all that were drawn; absent: without `faceDetail`, or written by an older worker. */
  readonly paintedFaces?: number;
  /** That made it; absent: not told (EMBED_PARAMETERS), or written by 0.2. */
  readonly model?: string;
  /** Its times have those of a change of the merged LoRAs in them. */
  readonly mergedAnew?: true;
}

export const picturesOf = ({ key, s3_uri, seed, likeness, more = [] }: PictureResult): StoredPicture[] => [
  { key, s3_uri, seed, likeness },
  ...more,
];
