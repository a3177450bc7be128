/** CUDA's words for what a launch may meet. */
export const CudaError: { readonly none: 0; readonly illegalAddress: 700; readonly launchFailure: 719 };

export const MIB: number;

/** What the stand-in counts, as in cuda-standin/state.h. */
export type Field =
  | 'memory'
  | 'taken'
  | 'error'
  | 'peak'
  | 'allocations'
  | 'refused'
  | 'launches'
  | 'replays'
  | 'products'
  | 'megaflop'
  | 'compiled'
  | 'uploaded'
  | 'downloaded'
  | 'gone';

/** The books of the stand-in's cards (cuda-standin/README.md), while processes use them. */
export class CudaCards {
  /** @param file for CUDA_STANDIN_STATE */
  constructor(file: string);
  readonly file: string;
  read(card?: number): Readonly<Record<Field, number>>;
  /** What other programs hold, in bytes; the error that each launch meets from now on; that new processes miss the card (1); or 0, to see the next peak. */
  set(field: 'taken' | 'error' | 'gone' | 'peak', value: number, card?: number): void;
  /** Bytes that living processes hold. */
  held(card?: number): number;
}
