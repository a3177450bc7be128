/** What check:fullsize found: checks that hold or not, seconds by phase, memory by process. */

/** @type {Record<string, number>} */
export const seconds = {};
/** @type {Record<string, number>} gigabytes, the most that a process ever had */
export const memory = {};
/** Checks that do not hold. @type {string[]} */
export const failures = [];

/**
 * @param {boolean} holds
 * @param {string} what
 * @param {string | number} [found]
 */
export function expect(holds, what, found) {
  if (!holds) failures.push(what);
  console.log(`${holds ? 'ok    ' : 'FAILED'}  ${what}${found === undefined ? '' : `: ${found}`}`);
}

/**
 * @template T
 * @param {string} phase
 * @param {() => Promise<T>} work
 */
export async function timed(phase, work) {
  const begun = performance.now();
  const done = await work();
  seconds[phase] = (performance.now() - begun) / 1000;
  return done;
}

/** @param {number} bytes */
export function gb(bytes) {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** @param {{ disk: number, served: number }} bytes */
export function print({ disk, served }) {
  const row = (/** @type {string} */ what, /** @type {string} */ value) =>
    console.log(`| ${what.padEnd(32)} | ${value.padStart(9)} |`);
  console.log();
  row('from the hub', gb(served));
  row('on disk at the end', gb(disk));
  for (const [who, most] of Object.entries(memory)) row(`peak memory: ${who}`, `${most.toFixed(2)} GB`);
  for (const [phase, time] of Object.entries(seconds)) row(phase, `${time.toFixed(1)} s`);
}
