/** Layers as names and shapes, with fills that keep activations at their size. */

/** @typedef {import('./random.file.mjs').Tensor} Tensor */

/** @returns {Tensor} variance 1 / inputs (LeCun): what goes in at size 1 comes out at size 1 */
export const weight = (/** @type {string} */ name, /** @type {number[]} */ ...shape) => {
  const inputs = shape.slice(1).reduce((product, side) => product * side, 1);
  return { name, shape, fill: { std: 1 / Math.sqrt(inputs) } };
};
/** @returns {Tensor} */
export const table = (
  /** @type {string} */ name,
  /** @type {number[]} */ shape,
  /** @type {number} */ std,
) => ({
  name,
  shape,
  fill: { std },
});
/** @returns {Tensor} */
export const bias = (/** @type {string} */ name, /** @type {number} */ size) => ({
  name,
  shape: [size],
  fill: 0,
});

/** @returns {Tensor[]} */
export const linear = (/** @type {string} */ name, /** @type {number} */ from, /** @type {number} */ to) => [
  weight(`${name}.weight`, to, from),
  bias(`${name}.bias`, to),
];
/** @returns {Tensor[]} */
export const conv = (
  /** @type {string} */ name,
  /** @type {number} */ from,
  /** @type {number} */ to,
  /** @type {number} */ kernel,
) => [weight(`${name}.weight`, to, from, kernel, kernel), bias(`${name}.bias`, to)];
/** @returns {Tensor[]} */
export const norm = (/** @type {string} */ name, /** @type {number} */ size) => [
  { name: `${name}.weight`, shape: [size], fill: 1 },
  bias(`${name}.bias`, size),
];
/**
 * @template T
 * @param {number} count
 * @param {(i: number) => T[]} make
 */
export const times = (count, make) => Array.from({ length: count }, (_, i) => make(i)).flat();
