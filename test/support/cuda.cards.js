'use strict';
/** The books of the CUDA stand-in's cards (cuda-standin/README.md), for tests and benchmarks. */
const { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } = require('node:fs');
const { isAlive } = require('./service.process');

/**
 * What the stand-in counts, as in cuda-standin/state.h: 64-bit words.
 *
 * @typedef {typeof WORDS[number]} Field
 */
const WORDS = /** @type {const} */ ([
  ...['memory', 'taken', 'error', 'peak', 'allocations', 'refused', 'launches', 'replays'],
  ...['products', 'megaflop', 'compiled', 'uploaded', 'downloaded', 'gone'],
]);
const [WORD, CARD, CARDS, HOLDER, HOLDERS] = [8, 16 * 8, 8, 3 * 8, 64];

/** CUDA's words for what a launch may meet. */
const CudaError = /** @type {const} */ ({ none: 0, illegalAddress: 700, launchFailure: 719 });

const MIB = 2 ** 20;

class CudaCards {
  /** @param {string} file for CUDA_STANDIN_STATE */
  constructor(file) {
    this.file = file;
    if (!existsSync(file)) writeFileSync(file, Buffer.alloc(CARD * CARDS + HOLDER * HOLDERS));
  }

  /** @returns {Readonly<Record<Field, number>>} */
  read(card = 0) {
    const bytes = readFileSync(this.file);
    /** @param {Field} field */
    const word = (field) => Number(bytes.readBigUInt64LE(card * CARD + WORDS.indexOf(field) * WORD));
    const words = Object.fromEntries(WORDS.map((field) => [field, word(field)]));
    return /** @type {Record<Field, number>} */ (words);
  }

  /**
   * What other programs hold, in bytes; the error that each launch meets from now on; that new processes miss the card
   * (1); or 0, to see the next peak.
   *
   * @param {'taken' | 'error' | 'gone' | 'peak'} field
   * @param {number} value
   */
  set(field, value, card = 0) {
    const word = Buffer.alloc(WORD);
    word.writeBigUInt64LE(BigInt(value));
    const file = openSync(this.file, 'r+');
    writeSync(file, word, 0, WORD, card * CARD + WORDS.indexOf(field) * WORD);
    closeSync(file);
  }

  /** Bytes that living processes hold. */
  held(card = 0) {
    const bytes = readFileSync(this.file);
    let sum = 0;
    for (let at = CARD * CARDS; at < bytes.length; at += HOLDER) {
      const [pid, of, used] = [0, 1, 2].map((word) => Number(bytes.readBigUInt64LE(at + word * WORD)));
      if (pid !== 0 && of === card && isAlive(pid)) sum += used;
    }
    return sum;
  }
}

module.exports = { CudaCards, CudaError, MIB };
