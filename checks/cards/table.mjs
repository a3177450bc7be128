/** Card by card: what the plan says of a picture, what comes of it, and the memory that it took. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { engineOf, MIB, renew } from './machine.mjs';

/** @typedef {import('./machine.mjs').Kind} Kind */
/** @typedef {import('./machine.mjs').Machine} Machine */
/** @typedef {import('./machine.mjs').Running} Running */
/** @typedef {import('./machine.mjs').Drawn} Drawn */
/** @typedef {'at once' | 'in tiles' | 'refused' | 'failed'} Outcome */
/** @typedef {Record<string, Record<'at once' | 'in tiles', number>>} Launches kernels of a picture, by kind and size */
/** @typedef {{ card: number, kind: Kind, size: string, order: string, planned: Outcome, outcome: Outcome, times: number,
 *   peak: number, predicted: number }} Cell */

const ROOT = join(import.meta.dirname, '../..');
const require = createRequire(import.meta.url);
const { planMemory } = /** @type {typeof import('../../apps/engine/src/memory.plan.js')} */ (
  require(join(ROOT, 'dist/apps/engine/src/memory.plan.js'))
);
const { lorasOf, peakOf, tileOf } = /** @type {typeof import('../../apps/engine/src/memory.needs.js')} */ (
  require(join(ROOT, 'dist/apps/engine/src/memory.needs.js'))
);
const { weightSizes } = /** @type {typeof import('../../libs/models/weight.sizes.js')} */ (
  require(join(ROOT, 'dist/libs/models/weight.sizes.js'))
);

/** A process' context on the stand-in's cards. */
const CONTEXT = 400 * MIB;
const WITHIN = 0.1;

/** @type {readonly Kind[]} */
export const KINDS = ['text', 'avatar', 'avatar + LoRA'];
export const SIZES = ['512x512', '1024x1024', '1536x1024', '1920x1088'];

/** @param {string} size */
const pixelsOf = (size) => size.split('x').reduce((product, side) => product * Number(side), 1);

/**
 * Kernels of each picture where there is room for everything: by them it is seen how often a picture was drawn elsewhere.
 *
 * @param {Machine} machine
 * @returns {Promise<Launches>}
 */
export function countLaunches(machine) {
  return (counted ??= count(machine));
}

/** @type {Promise<Launches> | undefined} */
let counted;

/**
 * @param {Machine} machine
 * @returns {Promise<Launches>}
 */
async function count(machine) {
  /** @type {Launches} */
  const launches = {};
  for (const [way, tiling] of /** @type {const} */ ([
    ['at once', 'never'],
    ['in tiles', 'always'],
  ])) {
    const running = await machine.start('Card:81559:8.9', { VAE_TILING: tiling });
    for (const kind of KINDS)
      for (const size of SIZES) {
        const drawn = await running.draw(kind, size);
        (launches[`${kind} ${size}`] ??= { 'at once': 0, 'in tiles': 0 })[way] = drawn.launches;
      }
    await running.stop();
  }
  return launches;
}

/**
 * @param {Machine} machine
 * @param {number} card its memory in MiB
 * @param {number} taken bytes that another program holds
 */
export async function planOf(machine, card, taken = 0) {
  const { model, vae, ipAdapter, clipVision } = machine.files;
  const files = { name: 'SDXL', checkpoint: model, vae, ipAdapter, clipVision };
  const weights = await weightSizes(files, { text: 'native', image: 'native' });
  if (!weights) throw new Error('The weights tell no sizes');
  const loras = lorasOf({ loras: 0 }); // of rank 32, and smaller than what is set aside at least
  const memory = { free: card * MIB - CONTEXT - taken, weights, loras, vaeDirectConvolution: true };
  try {
    const plan = planMemory(memory, { plan: 'auto', goal: { width: 1024, height: 1024 } });
    return { memory, plan, says: plan.sentence };
  } catch (error) {
    return { memory, plan: undefined, says: /** @type {Error} */ (error).message };
  }
}

/**
 * @param {Pick<ReturnType<typeof planMemory>, 'whole' | 'inTiles'>} plan
 * @param {string} size
 */
export function plannedFor({ whole, inTiles }, size) {
  const pixels = pixelsOf(size);
  return pixels <= whole ? 'at once' : pixels <= inTiles ? 'in tiles' : 'refused';
}

/**
 * Every kind and size on one card: each in a process of its own, then all in one, from small to large and back.
 *
 * @param {Machine} machine
 * @param {number} card its memory in MiB
 * @param {Launches} launches
 * @param {number} [taken] bytes that another program holds before the load
 */
export async function fillCard(machine, card, launches, taken = 0) {
  const { memory, plan, says } = await planOf(machine, card, taken);
  const running = await machine.start(`Card:${card}:8.9`, {}, { ready: plan !== undefined, taken });
  /** @type {Cell[]} */
  const cells = [];
  if (!plan) {
    const seen = await failedReason(running);
    await running.stop();
    return { card, plan: seen, planned: seen.includes(says), cells };
  }
  const { memory_plan: seen = '' } = await engineOf(running);
  const up = KINDS.flatMap((kind) => SIZES.map((size) => ({ kind, size })));
  let decodedBefore = 0;
  for (const [order, pictures] of /** @type {const} */ ([
    ['alone', up],
    ['up', up],
    ['down', up.toReversed()],
  ])) {
    for (const { kind, size } of pictures) {
      const pixels = pixelsOf(size);
      const planned = plannedFor(plan, size);
      const inTiles = planned === 'in tiles';
      const picture = { pixels, inTiles, reference: kind !== 'text', loras: kind.endsWith('LoRA') };
      const predicted = CONTEXT + peakOf(memory, plan.offloadEncoders, { ...picture, decodedBefore });
      const drawn = await running.draw(kind, size);
      const came = outcomeOf(drawn, launches[`${kind} ${size}`]);
      cells.push({ ...{ card, kind, size, order, planned, predicted, peak: drawn.peak }, ...came });
      decodedBefore = Math.max(decodedBefore, planned === 'at once' ? pixels : inTiles ? tileOf(pixels) : 0);
      if (order === 'alone' && drawn.launches > 0) {
        await renew(running);
        decodedBefore = 0;
      }
    }
  }
  await running.stop();
  return { card, plan: seen, planned: seen === says, cells };
}

/** @param {Running} running */
async function failedReason(running) {
  for (;;) {
    const { state, reason } = await engineOf(running);
    if (state === 'failed') return reason ?? '';
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * @param {Drawn} drawn
 * @param {Launches[string]} known
 * @returns {{ outcome: Outcome, times: number }} `times` that the picture was drawn
 */
export function outcomeOf({ status, message, launches, warnings }, known) {
  if (status !== 200) {
    const refused = launches === 0 && /memory.*\d+x\d+/.test(message);
    return { outcome: refused ? 'refused' : 'failed', times: launches / known['at once'] };
  }
  const again = warnings.some((warning) => warning.includes('decoded in tiles'));
  const way = launches === known['at once'] ? 'at once' : 'in tiles';
  return { outcome: way, times: launches === known[way] && !again ? 1 : launches / known['at once'] + 1 };
}

/** Whether the plan said what came, once, and its memory. @param {Cell} cell */
export const agrees = ({ planned, outcome, times, peak, predicted }) =>
  planned === outcome &&
  (planned === 'refused' ? times === 0 : times === 1 && Math.abs(peak / predicted - 1) <= WITHIN);

/** @param {Cell} cell */
export const deviation = ({ peak, predicted, outcome }) => (outcome === 'refused' ? 0 : peak / predicted - 1);

const percent = (/** @type {number} */ share) => `${share < 0 ? '' : '+'}${(share * 100).toFixed(1)} %`;

/**
 * A row a card and kind: how each size was decoded, its peak in MiB in a process of its own, and the deviation from the
 * plan's figure, the largest of all orders.
 *
 * @param {Awaited<ReturnType<typeof fillCard>>[]} cards
 */
export function cardRows(cards) {
  const head = ['card', 'picture', ...SIZES];
  const rows = cards.flatMap(({ card, cells }) => {
    if (cells.length === 0) return [[`${card} MiB`, 'any', ...SIZES.map(() => 'refused before the load')]];
    return KINDS.map((kind) => [
      `${card} MiB`,
      kind,
      ...SIZES.map((size) => {
        const same = cells.filter((cell) => cell.kind === kind && cell.size === size);
        const [alone] = same;
        const wrong = same.filter((cell) => !agrees(cell));
        const worst = same
          .map(deviation)
          .reduce((one, other) => (Math.abs(other) > Math.abs(one) ? other : one));
        const bad = wrong.map(
          ({ order, planned, outcome, times }) => `${order}: ${planned}, ${outcome} x${times.toFixed(2)}`,
        );
        if (wrong.length) return `WRONG ${bad.join('; ')}`;
        if (alone.outcome === 'refused') return 'refused';
        return `${alone.outcome}, ${Math.round(alone.peak / MIB).toLocaleString('en')} (${percent(worst)})`;
      }),
    ]);
  });
  return markdown(head, rows);
}

/** @param {readonly string[]} head @param {readonly (readonly (string | number)[])[]} rows */
export function markdown(head, rows) {
  const line = (/** @type {readonly (string | number)[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
