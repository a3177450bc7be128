import { Injectable } from '@nestjs/common';
import sharp from 'sharp';
import { Config } from '@app/config';
import type { Region } from '@app/pictures';
import { comparesFaces, findsFaces, FaceFinder, type Descriptor, type Pixels } from '@app/faces';

/** What was seen in a picture. */
export interface FaceSight {
  readonly hasFace: boolean;
  /** Of the largest face; absent where faces are not compared. */
  readonly descriptor?: Descriptor;
}

export type LookTurn = Parameters<FaceFinder['find']>[1];

/** Pixels of the longer side: more are not seen at once, and portraits are not searched piece by piece. */
const SIDE = 512;

/** The same where small ones are searched for, too. */
const SEARCHED = 1024;

/** Looks for faces in what is drawn. What it sees is in memory alone, and goes with the job's run. */
@Injectable()
export class JobFaces {
  readonly finds: boolean;
  readonly compares: boolean;

  constructor(
    config: Config,
    private readonly finder: FaceFinder,
  ) {
    this.finds = findsFaces(config);
    this.compares = comparesFaces(config);
  }

  /** undefined: nobody looks here, or nobody could. */
  async look({ pixels, width, height }: Pixels, turn: LookTurn): Promise<FaceSight | undefined> {
    if (!this.finds) return undefined;
    const small = await within(SIDE, { pixels, width, height });
    if (this.compares) {
      const descriptor = await this.finder.describe(small, turn);
      if (descriptor === undefined) return undefined;
      return descriptor ? { hasFace: true, descriptor } : { hasFace: false };
    }
    const faces = await this.finder.find(small, turn);
    return faces && { hasFace: faces.length > 0 };
  }

  /** The largest face; null: there is none. undefined: nobody looks here, or nobody could. */
  async largest(picture: Pixels, turn: LookTurn): Promise<Region | null | undefined> {
    if (!this.finds) return undefined;
    const small = await within(SEARCHED, picture);
    const faces = await this.finder.find(small, turn);
    if (!faces) return undefined;
    const [face] = faces;
    if (!face) return null;
    const scale = picture.width / small.width;
    const [x, y, width, height] = [face.x, face.y, face.width, face.height].map((one) => one * scale);
    return { x, y, width, height };
  }
}

async function within(side: number, { pixels, width, height }: Pixels): Promise<Pixels> {
  const { data, info } = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .resize({ width: side, height: side, fit: 'inside', withoutEnlargement: true })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { pixels: data, width: info.width, height: info.height };
}
