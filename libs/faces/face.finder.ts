import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import sharp from 'sharp';
import { Turns } from '@app/lifecycle';
import { FaceProcess, FaceProcessOptions } from './face.process';
import type { Descriptor, FoundFace, Pixels } from './face.protocol';
import { inPicture, pixelsOf, turnedBack, upsideDown, wholeOf, windowsOf } from './face.views';

/** A face, in whole pixels of the picture and inside it. */
export interface Face {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** 0..1 */
  readonly score: number;
  /** About 4 in a sharp photo; below 1.5 it is blurred. Whatever the face's size. */
  readonly sharpness: number;
  /** Degrees: turned in the plane of the picture, to its left or right, up or down. */
  readonly roll: number;
  readonly yaw: number;
  readonly pitch: number;
}

/** As it is nowhere stored: with a descriptor, where that was asked for. */
type SeenFace = Face & Pick<FoundFace, 'descriptor'>;

/** Whose turn it is; who leaves (`signal`) leaves the line. */
interface Turn {
  readonly caller: string;
  readonly signal?: AbortSignal;
}

/**
 * What counts as a face. Where it is blurred or without any, the detector is unsure of the place (0.2 to 0.45) though the
 * mesh sees something; upside down it is as unsure, but the mesh certain.
 */
const isFace = ({ boxScore, meshScore }: FoundFace): boolean =>
  (boxScore >= 0.5 && meshScore >= 0.5) || (boxScore >= 0.42 && meshScore >= 0.97);

/** Below it the picture may be upside down: its faces are found, but not where they are. */
const SURE = 0.6;

/** Of further looks more is asked: there are many. */
const isFaceOfPart = ({ boxScore, meshScore }: FoundFace): boolean => boxScore >= 0.7 && meshScore >= 0.7;

/** Side of the square in which sharpness is measured, in pixels: that of a face of little use. */
const SHARPNESS_SIDE = 64;
/** So many times without success, one after the other, and nobody is asked for a while: milliseconds. */
const MAX_FAILURES = 3;
const PAUSE = 60_000;

/** Finds faces, in a process of its own. Pictures wait in one line, in turns. */
@Injectable()
export class FaceFinder implements OnApplicationShutdown {
  private readonly logger = new Logger(FaceFinder.name);
  private readonly line = new Turns(1);
  private readonly process: FaceProcess;
  private failures = 0;
  private pausedUntil = 0;

  constructor(options: FaceProcessOptions) {
    this.process = new FaceProcess(options);
  }

  /** The process, while there is one. */
  get pid(): number | undefined {
    return this.process.pid;
  }

  /**
   * The faces of a picture, the largest first; undefined where nobody could look. Faces of 1/20 of the picture's longer
   * side are found, in pictures of more than 640 pixels of 1/40.
   */
  find(picture: Pixels, turn: Turn): Promise<readonly Face[] | undefined> {
    return this.inTurn(turn, (signal) => this.look(picture, false, signal));
  }

  /**
   * The descriptor of the largest face of a picture; null: it has none; undefined: nobody could look. In pictures of more
   * than 512 pixels a look takes longer and sees no more.
   */
  describe(picture: Pixels, turn: Turn): Promise<Descriptor | null | undefined> {
    return this.inTurn(turn, async (signal) => {
      const [largest] = await this.look(picture, true, signal);
      return largest?.descriptor ?? null;
    });
  }

  onApplicationShutdown(): void {
    this.process.end();
  }

  private inTurn<T>(
    { caller, signal }: Turn,
    look: (signal?: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    return this.line.run(caller, signal, async () => {
      if (Date.now() < this.pausedUntil) return undefined;
      try {
        const seen = await look(signal);
        this.failures = 0;
        return seen;
      } catch (error) {
        signal?.throwIfAborted();
        this.logger.warn(`A picture was not searched for faces: ${(error as Error).message}`);
        if (++this.failures >= MAX_FAILURES) this.pausedUntil = Date.now() + PAUSE;
        return undefined;
      }
    });
  }

  private async look(picture: Pixels, describe: boolean, signal?: AbortSignal): Promise<SeenFace[]> {
    const whole = await pixelsOf(picture, wholeOf(picture));
    const inWhole = (face: FoundFace) => inPicture(face, wholeOf(picture));
    let found = (await this.process.find(whole, describe)).filter(isFace).map(inWhole);
    if (!found.some(({ boxScore }) => boxScore >= SURE)) {
      const turned = (await this.process.find(upsideDown(whole), describe)).filter(isFaceOfPart);
      if (turned.length > 0) found = turned.map((face) => inWhole(turnedBack(face, whole)));
    }
    if (found.length === 0) {
      const parts: FoundFace[] = [];
      for (const part of windowsOf(picture)) {
        signal?.throwIfAborted();
        const faces = await this.process.find(await pixelsOf(picture, part), describe);
        parts.push(...faces.filter(isFaceOfPart).map((face) => inPicture(face, part)));
      }
      found = withoutDoubles(parts);
    }
    found.sort((a, b) => b.width * b.height - a.width * a.height);
    const faces: SeenFace[] = [];
    for (const face of found) {
      const inside = within(face, picture);
      if (inside) faces.push({ ...inside, sharpness: await sharpness(picture, inside) });
    }
    return faces;
  }
}

const centre = ({ x, y, width, height }: FoundFace) => [x + width / 2, y + height / 2];

/** Parts overlap: of what two of them found in one place the surer stays. */
function withoutDoubles(faces: readonly FoundFace[]): FoundFace[] {
  const kept: FoundFace[] = [];
  for (const face of [...faces].sort((a, b) => b.boxScore - a.boxScore)) {
    const [x, y] = centre(face);
    const isNew = kept.every((other) => {
      const [otherX, otherY] = centre(other);
      return Math.hypot(x - otherX, y - otherY) > Math.max(other.width, other.height) / 2;
    });
    if (isNew) kept.push(face);
  }
  return kept;
}

/** The part of a face that is in the picture; none where that is nothing. */
function within(face: FoundFace, picture: Pixels): Omit<SeenFace, 'sharpness'> | undefined {
  const [x, y] = [Math.max(0, Math.round(face.x)), Math.max(0, Math.round(face.y))];
  const width = Math.min(picture.width, Math.round(face.x + face.width)) - x;
  const height = Math.min(picture.height, Math.round(face.y + face.height)) - y;
  if (width < 1 || height < 1) return undefined;
  const { roll, yaw, pitch, boxScore, meshScore, descriptor } = face;
  return {
    x,
    y,
    width,
    height,
    score: Math.min(boxScore, meshScore),
    roll,
    yaw,
    pitch,
    ...(descriptor && { descriptor }),
  };
}

/** The energy of edges (a Laplacian of Gaussian's deviation), of a face made equally large and bright. */
async function sharpness(
  { pixels, width, height }: Pixels,
  face: Pick<Face, 'x' | 'y' | 'width' | 'height'>,
): Promise<number> {
  const square = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .extract({ left: face.x, top: face.y, width: face.width, height: face.height })
    .resize({ width: SHARPNESS_SIDE, height: SHARPNESS_SIDE, fit: 'fill' })
    .greyscale()
    .normalise()
    .toColourspace('b-w')
    .raw()
    .toBuffer();
  const raw = { width: SHARPNESS_SIDE, height: SHARPNESS_SIDE, channels: 1 } as const;
  return Math.round((await sharp(square, { raw }).stats()).sharpness * 100) / 100;
}
