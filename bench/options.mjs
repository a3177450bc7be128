/** What options save: several images of one request against as many requests, and caches against none; in pairs. */
import sharp from 'sharp';
import { readArguments } from './support/arguments.mjs';
import { benchmark, verdict } from './support/benchmark.mjs';
import { DEMO, startService } from './support/service.mjs';
import { mean, quantile } from './support/statistics.mjs';

const BATCH = 4;
const BATCH_TARGET = 0.6;
const CACHES = ['ucache', 'spectrum'];
const CACHE_TARGET = 0.65;

const { pairs, steps } = readArguments('Images of one request, and caches, in pairs with what they save.', {
  pairs: { about: 'of each comparison', default: 5 },
  steps: { about: 'sampling steps of the cached images', default: 50 },
});

/** @typedef {Awaited<ReturnType<typeof startService>>} Service */

await benchmark(async () => {
  const service = await startService(DEMO);
  await service.draw('generations', { prompt: 'a fox', size: '64x64', num_inference_steps: 1 }); // not counted
  const batch = await batches(service);
  const cached = await caches(service);
  return Math.max(
    verdict(`${BATCH} images in one request <= ${BATCH_TARGET} of the time`, batch <= BATCH_TARGET),
    verdict(`each cache <= ${CACHE_TARGET} of the time`, Math.max(...cached) <= CACHE_TARGET),
  );
});

/** @param {Service} service */
async function batches(service) {
  const options = { size: '64x64', num_inference_steps: 4 };
  const ratios = [];
  for (let pair = 0; pair < pairs; pair++) {
    const prompt = `a fox on a blue background, ${pair}`;
    const one = () => service.draw('generations', { ...options, prompt, seed: pair, n: BATCH });
    const each = async () => {
      let wall = 0;
      for (let image = 0; image < BATCH; image++)
        wall += (await service.draw('generations', { ...options, prompt, seed: pair + image })).wall;
      return { wall };
    };
    const [first, second] = await inTurns(pair, one, each);
    ratios.push(first.wall / second.wall);
  }
  const median = quantile(ratios, 0.5);
  console.log(`\nn=${BATCH} against ${BATCH} requests, 64x64, 4 steps: ${summary(ratios)}`);
  return median;
}

/** @param {Service} service */
async function caches(service) {
  const table = /** @type {Record<string, object>} */ ({});
  const medians = [];
  for (const cache of CACHES) {
    const ratios = [];
    const differences = [];
    for (let pair = 0; pair < pairs; pair++) {
      const options = {
        ...{ prompt: `a ${['fox', 'panda', 'cake', 'rocket', 'pumpkin'][pair % 5]} on a blue background` },
        ...{ size: '128x128', num_inference_steps: steps, seed: pair },
      };
      const [fast, plain] = await inTurns(
        pair,
        () => service.draw('generations', { ...options, cache }),
        () => service.draw('generations', options),
      );
      ratios.push(fast.wall / plain.wall);
      differences.push(await difference(await service.png(fast), await service.png(plain)));
    }
    const median = quantile(ratios, 0.5);
    medians.push(median);
    table[cache] = {
      'of the time': summary(ratios),
      'mean difference, levels': mean(differences).toFixed(1),
      'largest image': Math.max(...differences).toFixed(1),
    };
  }
  console.log(`\nCaches, 128x128, ${steps} steps, ${pairs} pairs each`);
  console.table(table);
  return medians;
}

/**
 * Both, the first of them first in every other pair.
 *
 * @template A
 * @template B
 * @param {number} pair
 * @param {() => Promise<A>} a
 * @param {() => Promise<B>} b
 * @returns {Promise<[A, B]>}
 */
async function inTurns(pair, a, b) {
  if (pair % 2 === 0) return [await a(), await b()];
  const second = await b();
  return [await a(), second];
}

/** @param {number[]} ratios */
function summary(ratios) {
  const [low, median, high] = [0, 0.5, 1].map((share) => quantile(ratios, share).toFixed(2));
  return `${median} (${low}..${high})`;
}

/**
 * Mean absolute difference of the values, 0..255.
 *
 * @param {Buffer} one
 * @param {Buffer} other
 */
async function difference(one, other) {
  const [a, b] = await Promise.all([one, other].map((png) => sharp(png).removeAlpha().raw().toBuffer()));
  return mean(Array.from(a, (value, at) => Math.abs(value - b[at])));
}
