/**
 * The value below which `share` of the values lie, interpolated between neighbours.
 *
 * @param {readonly number[]} values at least one
 * @param {number} share 0..1
 */
export function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

/** @param {readonly number[]} values */
export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Ordinary least squares of the values over their index.
 *
 * @param {readonly number[]} values at least 8
 * @returns {{ slope: number, low: number, high: number, autocorrelation: number }} the slope a step with its 95 %
 *   confidence interval. The interval takes residuals for independent; `autocorrelation` (lag 1) tells how far they
 *   are: well above 0 (memory grows in steps) the true interval is wider.
 */
export function trend(values) {
  const n = values.length;
  const [middle, average] = [(n - 1) / 2, mean(values)];
  const spread = values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  const slope = values.reduce((sum, y, i) => sum + (i - middle) * (y - average), 0) / spread;
  const residuals = values.map((y, i) => y - average - slope * (i - middle));
  const squares = residuals.reduce((sum, r) => sum + r * r, 0);
  const half = studentT(n - 2) * Math.sqrt(squares / (n - 2) / spread);
  const lagged = residuals.slice(1).reduce((sum, r, i) => sum + r * residuals[i], 0);
  return {
    slope,
    low: slope - half,
    high: slope + half,
    autocorrelation: squares > 0 ? lagged / squares : 0,
  };
}

/**
 * The 97.5 % quantile of Student's t, exact to 0.01 from 6 degrees of freedom on (Abramowitz and Stegun 26.7.5).
 *
 * @param {number} freedom
 */
function studentT(freedom) {
  const z = 1.959964;
  return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2);
}
