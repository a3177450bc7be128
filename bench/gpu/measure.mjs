/** One device, group after group. Whatever fails is a row, and the next group begins in a new process. */
import { watchMemory } from './card.mjs';
import { comparePeer } from './peer.mjs';
import { FEW_SECONDS, plan } from './plan.mjs';
import { compareProcessor } from './right.mjs';

/** @typedef {import('../../native/index.js').GenerateOptions} GenerateOptions */
/** @typedef {import('./engine.mjs').Answer} Answer */
/** @typedef {import('./engine.mjs').Engine} Engine */
/** @typedef {import('./plan.mjs').Group} Group */
/** @typedef {import('./plan.mjs').Picture} Picture */
/** @typedef {Awaited<ReturnType<typeof watchMemory>>} Memory */

/**
 * `left`: seconds of the whole run; `share`: of them for this device.
 *
 * @typedef {{ device: import('../../native/index.js').Device, card: import('./card.mjs').Card | undefined,
 *   version: import('../../native/index.js').EngineVersion, weights: import('../weights/weights.mjs').Weights,
 *   start: ReturnType<typeof import('./engine.mjs').engineStarter>,
 *   report: ReturnType<typeof import('./report.mjs').startReport>, left: () => number, share: number,
 *   options: { limit: number, steps: number, size: number, only: string, python: string, channels: number } }} Run
 */

/** Seconds below which nothing is begun. */
const LEAST = 5;
/** The first picture on a card may compile the engine's kernels for it. */
const FIRST_LIMIT = 400;
/** A process that dies in a picture is followed by another for the rest of its group. */
const PROCESSES = 3;

/** @param {Run} run */
export async function measure(run) {
  const { device, report, options } = run;
  const wanted = options.only.split(',').filter(Boolean);
  const groups = plan(device, run.version.source);
  const unknown = wanted.filter((id) => !groups.some((group) => group.id === id));
  if (unknown.length)
    throw new Error(`Expected groups of ${groups.map(({ id }) => id).join(', ')} for --only`);
  const until = run.left() - run.share;
  const left = () => run.left() - until;
  report.head();
  for (const group of groups) {
    if (wanted.length && !wanted.includes(group.id)) continue;
    const row = { device: device.name, group: group.id, seconds: 0 };
    if (left() < LEAST) report.row({ ...row, what: group.about, note: 'left out: the time is over' });
    else if (group.id === 'peer') await comparePeer(run, Math.min(options.limit, left()));
    else if (group.id === 'right')
      await compareProcessor(run, group.settings, Math.min(2 * options.limit, left()));
    else await measureGroup(run, group, left);
  }
}

/** @param {Run} run @param {Group} group @param {() => number} left */
async function measureGroup(run, group, left) {
  const pictures = group.pictures.filter(({ gpuOnly }) => run.device.gpu || !gpuOnly);
  /** @type {Known} */
  const known = {};
  for (let i = 0; i < PROCESSES && pictures.length && left() >= LEAST; i++) {
    const memory = await watchMemory(run.card);
    const engine = await run.start();
    try {
      if (!(await load(run, group, engine, memory, left))) return;
      while (pictures.length && engine.alive()) {
        const picture = /** @type {Picture} */ (pictures.shift());
        if (left() < LEAST) return skip(run, group, picture);
        const answer = await draw(run, group, picture, { engine, memory, known, left });
        if (answer.code && picture.warmUp) return;
      }
    } finally {
      memory.stop();
      await engine.stop();
    }
  }
}

/** What earlier pictures of the group told. @typedef {{ stepMs?: number, bytes?: string, plainSeconds?: number }} Known */

/** @param {Run} run @param {Group} group @param {Engine} engine @param {Memory} memory @param {() => number} left */
async function load({ device, weights, report, options }, group, engine, memory, left) {
  const { model, vae, ipAdapter, clipVision } = weights;
  const files = { model, vae, ipAdapter, clipVision };
  const call = { load: { ...files, ...group.settings, device: device.name } };
  const answer = await engine.call(call, Math.min(options.limit, left()));
  const vramMib = await memory.most();
  const settings = group.settings;
  report.row({
    ...answer,
    device: device.name,
    group: group.id,
    what: `load: ${group.about}`,
    vramMib,
    settings,
  });
  return !answer.code;
}

/**
 * @param {Run} run
 * @param {Group} group
 * @param {Picture} picture
 * @param {{ engine: Engine, memory: Memory, known: Known, left: () => number }} state
 */
async function draw({ device, weights, report, options }, group, picture, { engine, memory, known, left }) {
  const side = picture.side ?? Math.max(64, 64 * Math.round((options.size * (picture.times ?? 1)) / 64));
  const steps = stepsOf(picture, options.steps, known);
  const path = { one: weights.lora, other: weights.otherLora };
  const loras = picture.lora ? [{ path: path[picture.lora], scale: 1 }] : [];
  /** @type {GenerateOptions['hires']} */
  const larger = { upscaler: 'Latent', width: 2 * side, height: 2 * side, steps: 15, strength: 0.5 };
  const hires = picture.hires ? larger : undefined;
  const usual = { prompt: 'a lighthouse on a cliff, watercolour', guidanceScale: 7, seed: 1 };
  const call = {
    draw: { ...usual, width: side, height: side, steps, loras, hires, ...picture.options },
    avatar: picture.avatar ?? false,
  };
  memory.since();
  const limit = picture.warmUp ? FIRST_LIMIT : options.limit;
  const answer = await engine.call(call, Math.min(limit, left()));
  const { timings } = answer;
  if (picture.warmUp && timings)
    Object.assign(known, { stepMs: timings.sampling / steps, bytes: answer.bytes });
  if (picture.plain && timings) known.plainSeconds = answer.seconds;
  report.row({
    ...answer,
    ...{ device: device.name, group: group.id, what: picture.what, side, steps, settings: group.settings },
    asked: picture,
    vramMib: await memory.most(),
    same: picture.again && !answer.code ? answer.bytes === known.bytes : undefined,
    stepsPerSecond:
      timings && !hires ? (steps * (call.draw.count ?? 1) * 1000) / timings.sampling : undefined,
    changeSeconds:
      picture.change && timings && known.plainSeconds ? answer.seconds - known.plainSeconds : undefined,
    restMs: timings && timings.engine - timings.text - timings.image - timings.sampling - timings.decode,
  });
  return answer;
}

/** @param {Picture} picture @param {number} all @param {Known} known */
function stepsOf(picture, all, { stepMs }) {
  const { steps = all } = picture;
  if (steps !== 'few') return Math.min(steps, all);
  return Math.max(1, Math.min(all, Math.floor((FEW_SECONDS * 1000) / (stepMs || Infinity))));
}

/** @param {Run} run @param {Group} group @param {Picture} picture */
function skip({ device, report }, group, { what }) {
  report.row({ device: device.name, group: group.id, what, seconds: 0, note: 'left out: the time is over' });
}
