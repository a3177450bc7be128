import type { Size } from '@app/config';
import { SIZE_STEP } from '@app/models/family';

const pixels = ({ width, height }: Size) => width * height;
const onGrid = (side: number) => Math.max(SIZE_STEP, Math.floor(side / SIZE_STEP) * SIZE_STEP);

/** At most `most` pixels, in about the same shape; what one side cannot give, because it is the least, the other does. */
export function shrunk(size: Size, most: number): Size {
  const ratio = Math.sqrt(most / pixels(size));
  const [width, height] = [onGrid(size.width * ratio), onGrid(size.height * ratio)];
  return { width: Math.min(width, onGrid(most / height)), height: Math.min(height, onGrid(most / width)) };
}
