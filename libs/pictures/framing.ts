import type { Size } from '@app/config';

/** A part of an upright picture, in its pixels. */
export interface Region extends Size {
  readonly x: number;
  readonly y: number;
}

/** How much is shown around a face: what adapters for faces were trained with, and what those for whole pictures need. */
export type Framing = 'face' | 'shoulders';

/** Side of the square, by the longer side of the face. */
const MARGIN: Record<Framing, number> = { face: 1.6, shoulders: 2.8 };

/**
 * The square around a face, its centre in the middle. Near the border less than the margin is shown, down to that of
 * `face`; still nearer the square moves. It never leaves the picture: what is narrower than the square makes it an oblong.
 */
export function aroundFace(face: Region, picture: Size, framing: Framing): Region {
  const [x, y] = [face.x + face.width / 2, face.y + face.height / 2];
  const longer = Math.max(face.width, face.height);
  const room = 2 * Math.min(x, y, picture.width - x, picture.height - y);
  const side = Math.max(longer * MARGIN.face, Math.min(longer * MARGIN[framing], room));
  const width = Math.min(picture.width, Math.round(side));
  const height = Math.min(picture.height, Math.round(side));
  return {
    x: Math.max(0, Math.min(picture.width - width, Math.round(x - width / 2))),
    y: Math.max(0, Math.min(picture.height - height, Math.round(y - height / 2))),
    ...{ width, height },
  };
}
