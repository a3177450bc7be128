import { ASKED_STEP, MAX_SIDE, SIZE_STEP } from '@app/models/family';

export interface Size {
  /** pixels */
  readonly width: number;
  readonly height: number;
}

/** "WIDTHxHEIGHT" in pixels -> Size, or undefined when it is not one that can be asked for. */
export function parseSize(text: string): Size | undefined {
  const match = /^([1-9]\d{1,4})x([1-9]\d{1,4})$/.exec(text);
  if (!match) return undefined;
  const [width, height] = [Number(match[1]), Number(match[2])];
  const fits = (side: number) => side >= SIZE_STEP && side <= MAX_SIDE && side % ASKED_STEP === 0;
  return fits(width) && fits(height) ? { width, height } : undefined;
}
