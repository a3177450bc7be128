import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { isAlive } from './service';

/** As in cuda-standin/state.h: 64-bit words. */
const FIELDS = ['memory', 'taken', 'error', 'peak', 'allocations', 'refused', 'launches', 'replays'] as const;
const MORE = ['products', 'megaflop', 'compiled', 'uploaded', 'downloaded', 'gone'] as const;
const WORDS = [...FIELDS, ...MORE];
const [WORD, CARD, CARDS, HOLDER, HOLDERS] = [8, 16 * 8, 8, 3 * 8, 64];

type Field = (typeof WORDS)[number];

/** CUDA's words for what a launch may meet. */
export const CudaError = { none: 0, illegalAddress: 700, launchFailure: 719 } as const;

export const MIB = 2 ** 20;

/** The books of the stand-in's cards (cuda-standin/README.md), while processes use them. */
export class CudaCards {
  /** @param file for CUDA_STANDIN_STATE */
  constructor(readonly file: string) {
    if (!existsSync(file)) writeFileSync(file, Buffer.alloc(CARD * CARDS + HOLDER * HOLDERS));
  }

  read(card = 0): Readonly<Record<Field, number>> {
    const bytes = readFileSync(this.file);
    const word = (field: Field) => Number(bytes.readBigUInt64LE(card * CARD + WORDS.indexOf(field) * WORD));
    return Object.fromEntries(WORDS.map((field) => [field, word(field)])) as Record<Field, number>;
  }

  /** What other programs hold, in bytes; the error that each launch meets from now on; that new processes miss it. */
  set(field: 'taken' | 'error' | 'gone', value: number, card = 0): void {
    const word = Buffer.alloc(WORD);
    word.writeBigUInt64LE(BigInt(value));
    const file = openSync(this.file, 'r+');
    writeSync(file, word, 0, WORD, card * CARD + WORDS.indexOf(field) * WORD);
    closeSync(file);
  }

  /** Bytes that living processes hold. */
  held(card = 0): number {
    const bytes = readFileSync(this.file);
    let sum = 0;
    for (let at = CARD * CARDS; at < bytes.length; at += HOLDER) {
      const [pid, of, used] = [0, 1, 2].map((word) => Number(bytes.readBigUInt64LE(at + word * WORD)));
      if (pid !== 0 && of === card && isAlive(pid)) sum += used;
    }
    return sum;
  }
}
