/**
 * Makes the demo's LoRA `night` from the demo checkpoint: node make-lora.mjs DEMO.safetensors OUT.safetensors
 *
 * Nothing is trained with pictures: it is a regression. The demo learned its backgrounds from the prompt's pooled
 * vector, which reaches every residual block of the UNet through `emb_layers`, as x = SiLU(embedding of time and
 * prompt). For all things, backgrounds and many times the script calculates x, and how x changes when the background
 * is black; fits one matrix B that predicts the change from x (ridge regression), reduces it to RANK, B ~ U D, and
 * writes for each block
 *
 *   delta W = W B   as   lora_up = W U,  lora_down = D
 *
 * The empty prompt is asked to stay as it is, so that guidance strengthens the effect as it does for the word "black".
 * No random numbers: the bytes follow from the checkpoint.
 */
import { writeFileSync } from 'node:fs';
import { openCheckpoint, safetensors } from './half.safetensors.mjs';
import { multiply, orthonormal, solve, transpose } from './matrices.mjs';

/** @typedef {{ weight: Float64Array, bias: Float64Array }} Layer */
/** @typedef {import('./half.safetensors.mjs').Tensor} Tensor */

/** Token ids of CLIP's vocabulary, one a concept, for the words that the demo knows. */
// prettier-ignore
const THINGS = {
  fox: 3240, cat: 2368, dog: 1929, panda: 12952, frog: 11438, lion: 5567, pig: 9619, owl: 9899, fish: 2759,
  whale: 11650, turtle: 10912, butterfly: 9738, bee: 5028, chicken: 3717, penguin: 14952, snail: 23132, apple: 3055,
  banana: 8922, cherry: 7325, strawberry: 10233, pineapple: 14831, carrot: 15435, mushroom: 13011, pizza: 4474,
  burger: 6548, cake: 2972, rocket: 8383, car: 1615, house: 1212, tree: 2677, sunflower: 21559, rose: 3568, sun: 2176,
  moon: 3293, star: 1565, heart: 1936, fire: 1769, umbrella: 17143, ball: 1069, key: 1458,
};
// prettier-ignore
const BACKGROUNDS = {
  white: 1579, red: 736, blue: 1746, green: 1901, yellow: 4481, pink: 3360, purple: 5496, orange: 4287, gray: 7048,
};
const BLACK = 1449;

const RANK = 8;
/** Numbers that a word's vector has; the rest of CLIP-G's 1280 are zero. */
const WORD = 128;
/** Where SDXL's label vector holds the original height, and a picture's side while the demo was trained. */
const SIZE_AT = 1280;
const SIDES = [64, 128];
const TIMES = [20, 90, 200, 350, 500, 650, 800, 950];
const RIDGE = 1e-3;

const [source, target] = process.argv.slice(2);
const checkpoint = openCheckpoint(source);
const UNET = 'model.diffusion_model.';
/** @type {(name: string) => Layer} */
const layer = (name) => ({
  weight: checkpoint.read(`${UNET}${name}.weight`),
  bias: checkpoint.read(`${UNET}${name}.bias`),
});
const [time0, time2, label0, label2] = ['time_embed.0', 'time_embed.2', 'label_emb.0.0', 'label_emb.0.2'].map(
  layer,
);
const dim = label2.bias.length;
const { U, D } = reduce(fit(samples()));
const blocks = checkpoint.names.filter((name) => /\.emb_layers\.1\.weight$/.test(name));
const tensors = blocks.flatMap((block) => {
  const weight = checkpoint.read(block);
  const out = weight.length / dim;
  const name = block.replace(UNET, '').replace('.weight', '').replaceAll('.', '_');
  return /** @type {Tensor[]} */ ([
    [`lora_unet_${name}.lora_down.weight`, [RANK, dim], D],
    [`lora_unet_${name}.lora_up.weight`, [out, RANK], multiply(weight, U, out, dim, RANK)],
    [`lora_unet_${name}.alpha`, [], [RANK]],
  ]);
});
checkpoint.close();
writeFileSync(target, safetensors(tensors));

/** Pairs of x and what to add to it. */
function samples() {
  const black = word(BLACK);
  const backgrounds = [undefined, ...Object.values(BACKGROUNDS).map(word)];
  /** @type {[given: Float64Array, wanted: Float64Array, weight: number][]} */
  const pairs = [];
  for (const side of SIDES) {
    for (const thing of Object.values(THINGS).map(word)) {
      const wanted = labelEmbedding(pooled([thing, black]), side);
      for (const background of backgrounds) {
        const given = labelEmbedding(pooled(background ? [thing, background] : [thing]), side);
        pairs.push([given, wanted, 1]);
      }
    }
    const empty = labelEmbedding(pooled([]), side);
    pairs.push([empty, empty, 40]);
  }
  return TIMES.flatMap((time) => {
    const at = timeEmbedding(time);
    /** @param {Float64Array} label */
    const x = (label) => label.map((value, i) => silu(value + at[i]));
    return pairs.map(([given, wanted, weight]) => {
      const from = x(given);
      return { from, change: x(wanted).map((value, i) => value - from[i]), weight };
    });
  });
}

/**
 * B = (sum change x^T) (sum x x^T + ridge)^-1, and sum x x^T.
 *
 * @param {ReturnType<typeof samples>} pairs
 */
function fit(pairs) {
  const xx = new Float64Array(dim * dim);
  const cx = new Float64Array(dim * dim);
  for (const { from, change, weight } of pairs) {
    for (let i = 0; i < dim; i++) {
      const [a, c] = [weight * from[i], weight * change[i]];
      for (let j = 0; j < dim; j++) {
        xx[i * dim + j] += a * from[j];
        cx[i * dim + j] += c * from[j];
      }
    }
  }
  let trace = 0;
  for (let i = 0; i < dim; i++) trace += xx[i * dim + i];
  const ridged = xx.slice();
  for (let i = 0; i < dim; i++) ridged[i * dim + i] += (RIDGE * trace) / dim;
  return { B: solve(ridged, cx, dim), xx };
}

/**
 * The RANK directions that hold most of what B predicts, by subspace iteration: U (dim x RANK) and D = U^T B.
 *
 * @param {ReturnType<typeof fit>} fitted
 */
function reduce({ B, xx }) {
  const Bt = transpose(B, dim, dim);
  const power = multiply(multiply(B, xx, dim, dim, dim), Bt, dim, dim, dim);
  /** @type {Float64Array} */
  let U = Float64Array.from(
    { length: dim * RANK },
    (_, i) => power[Math.floor(i / RANK) * dim + (i % RANK) * 31],
  );
  for (let round = 0; round < 60; round++) U = orthonormal(multiply(power, U, dim, dim, RANK), RANK);
  return { U, D: multiply(transpose(U, dim, RANK), B, RANK, dim, dim) };
}

/**
 * The pooled vector that the designed CLIP-G gives: the normalised sum of the normalised words.
 *
 * @param {number[][]} words
 * @returns {number[]}
 */
function pooled(words) {
  const sum = Array.from({ length: WORD }, () => 0);
  for (const vector of words) normalise(vector).forEach((x, i) => (sum[i] += x));
  return words.length > 0 ? normalise(sum) : sum;
}

/**
 * LayerNorm over 1280 numbers of which the first WORD are given and the rest zero.
 *
 * @param {number[]} vector
 */
function normalise(vector) {
  const mean = vector.reduce((sum, x) => sum + x, 0) / 1280;
  const square = vector.reduce((sum, x) => sum + x * x, 0) / 1280 - mean * mean;
  return vector.map((x) => (x - mean) / Math.sqrt(square + 1e-5));
}

/**
 * @param {number[]} words
 * @param {number} side
 */
function labelEmbedding(words, side) {
  const label = new Float64Array(label0.weight.length / dim);
  label.set(words);
  label.set(sinusoids(side, 256), SIZE_AT);
  return linear(label2, linear(label0, label).map(silu));
}

/** @param {number} time */
function timeEmbedding(time) {
  return linear(time2, linear(time0, sinusoids(time, time0.weight.length / dim)).map(silu));
}

/**
 * @param {number} value
 * @param {number} count
 */
function sinusoids(value, count) {
  const half = count / 2;
  /** @param {number} i */
  const angle = (i) => value * Math.exp((-Math.log(10000) * i) / half);
  return Float64Array.from({ length: count }, (_, i) =>
    i < half ? Math.cos(angle(i)) : Math.sin(angle(i - half)),
  );
}

/** @param {number} x */
function silu(x) {
  return x / (1 + Math.exp(-x));
}

/**
 * @param {Layer} layer
 * @param {Float64Array} x
 */
function linear({ weight, bias }, x) {
  const result = Float64Array.from(bias);
  for (let i = 0; i < x.length; i++) {
    if (x[i] === 0) continue; // most of the label vector
    for (let o = 0; o < result.length; o++) result[o] += weight[o * x.length + i] * x[i];
  }
  return result;
}

/** @param {number} token */
function word(token) {
  return Array.from(
    checkpoint.read('conditioner.embedders.1.model.token_embedding.weight', token * 1280, WORD),
  );
}
