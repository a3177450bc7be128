'use strict';
/** Another checkpoint than the demo's, made from it. */
const { closeSync, copyFileSync, openSync, readSync, writeSync } = require('node:fs');

/** Rows of CLIP-G's vocabulary, and their length in bytes. */
const BLUE = 1746;
const RED = 736;
const ROW = 1280 * 2;
const VOCABULARY = 'conditioner.embedders.1.model.token_embedding.weight';

/**
 * Writes one that draws red where the demo draws blue, and the other way round.
 *
 * @param {string} demo the demo's checkpoint
 * @param {string} target
 */
function writeSecondModel(demo, target) {
  copyFileSync(demo, target);
  const file = openSync(target, 'r+');
  /** @type {(at: number, length: number) => Buffer} */
  const read = (at, length) => {
    const bytes = Buffer.alloc(length);
    readSync(file, bytes, 0, length, at);
    return bytes;
  };
  const length = Number(read(0, 8).readBigUInt64LE());
  const header = /** @type {Record<string, { data_offsets: [number, number] }>} */ (
    JSON.parse(read(8, length).toString())
  );
  const begin = 8 + length + header[VOCABULARY].data_offsets[0];
  const [blue, red] = [BLUE, RED].map((row) => read(begin + row * ROW, ROW));
  writeSync(file, red, 0, ROW, begin + BLUE * ROW);
  writeSync(file, blue, 0, ROW, begin + RED * ROW);
  closeSync(file);
}

module.exports = { writeSecondModel };
