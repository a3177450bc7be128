import { Injectable } from '@nestjs/common';
import sharp from 'sharp';
import { Config } from '@app/config';
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
    const { data, info } = await sharp(pixels, { raw: { width, height, channels: 3 } })
      .resize({ width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true })
      .raw()
      .toBuffer({ resolveWithObject: true });
    const small = { pixels: data, width: info.width, height: info.height };
    if (this.compares) {
      const descriptor = await this.finder.describe(small, turn);
      if (descriptor === undefined) return undefined;
      return descriptor ? { hasFace: true, descriptor } : { hasFace: false };
    }
    const faces = await this.finder.find(small, turn);
    return faces && { hasFace: faces.length > 0 };
  }
}
