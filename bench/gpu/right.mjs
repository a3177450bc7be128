/**
 * Is it the right picture? A small one with all that there is (text, avatar, LoRA) by the device and by the processor: the
 * mean difference in levels of 255. What it says of wrong pictures stands beside it: the difference to another seed.
 */

/** @typedef {import('./engine.mjs').Answer} Answer */

const SIDE = 256;
const STEPS = 4;
const PROMPT = 'a lighthouse on a cliff, watercolour';

/** @param {import('./measure.mjs').Run} run @param {import('./plan.mjs').Settings} settings @param {number} limit seconds */
export async function compareProcessor(run, settings, limit) {
  const { device, report, options } = run;
  const side = Math.min(SIDE, options.size);
  const steps = Math.min(STEPS, options.steps);
  const row = { device: device.name, group: 'right', side, steps };
  const end = performance.now() + limit * 1000;
  const left = () => (end - performance.now()) / 1000;

  const drawn = await drawTwo(run, device.name, settings, { side, steps, seeds: [1, 2], left });
  const known = await drawTwo(
    run,
    'CPU',
    { ...settings, flashAttention: false },
    { side, steps, seeds: [1], left },
  );
  const failed = [...drawn, ...known].find(({ code }) => code);
  const seconds = drawn[0].seconds;
  if (failed) return report.row({ ...row, ...failed, seconds, what: 'against the processor' });
  const [mine, other] = drawn.map(pixelsOf);
  const [right] = known.map(pixelsOf);
  const note =
    `mean difference ${difference(mine, right).toFixed(2)} levels of 255 to the processor's picture ` +
    `(${known[0].seconds.toFixed(1)} s there), ${difference(mine, other).toFixed(2)} to that of another seed`;
  return report.row({ ...row, seconds, what: 'against the processor', note });
}

/**
 * @param {import('./measure.mjs').Run} run
 * @param {string} device
 * @param {import('./plan.mjs').Settings} settings
 * @param {{ side: number, steps: number, seeds: number[], left: () => number }} picture
 * @returns {Promise<Answer[]>} the load's where that failed
 */
async function drawTwo({ weights, start, options }, device, settings, { side, steps, seeds, left }) {
  const { model, vae, ipAdapter, clipVision } = weights;
  const engine = await start();
  const limit = () => Math.max(1, Math.min(options.limit, left()));
  try {
    const loaded = await engine.call(
      { load: { model, vae, ipAdapter, clipVision, ...settings, device } },
      limit(),
    );
    if (loaded.code) return [loaded];
    const answers = [];
    for (const seed of seeds) {
      const draw = { prompt: PROMPT, width: side, height: side, steps, guidanceScale: 7, seed };
      const loras = [{ path: weights.lora, scale: 1 }];
      answers.push(await engine.call({ draw: { ...draw, loras }, avatar: true, pixels: true }, limit()));
    }
    return answers;
  } finally {
    await engine.stop();
  }
}

/** @param {Answer} answer */
const pixelsOf = ({ pixels = '' }) => Buffer.from(pixels, 'base64');

/** @param {Buffer} a @param {Buffer} b */
function difference(a, b) {
  if (a.length !== b.length || !a.length)
    throw new Error(`Expected pictures of one size but received ${a.length}, ${b.length}`);
  return a.reduce((sum, level, i) => sum + Math.abs(level - b[i]), 0) / a.length;
}
