/** What the service adds to the engine: the wall time of a request less the engine's own time for it. */
import { readArguments } from './support/arguments.mjs';
import { benchmark, verdict } from './support/benchmark.mjs';
import { DEMO, engineTime, startService } from './support/service.mjs';
import { quantile } from './support/statistics.mjs';

const TARGET_MS = 60;
const USER = 'bench';

const { pictures } = readArguments('What the service adds to the time in the engine.', {
  pictures: { about: 'pictures a route, one after the other', default: 30 },
});

/** @typedef {import('./support/service.mjs').Picture & { wall: number }} Drawn */

/** Rows of the table: how much of a request's time went where, in milliseconds. */
const PARTS = {
  overhead: (/** @type {Drawn} */ { wall, timings }) => wall - engineTime(timings),
  // Routing, checks, JSON; with an avatar also reading and decoding it.
  request: (/** @type {Drawn} */ { wall, timings }) => wall - timings.total_ms,
  queue: (/** @type {Drawn} */ { timings }) => timings.queue_ms,
  // To the engine's process and back, and the pixels' check there.
  process: (/** @type {Drawn} */ { timings }) =>
    timings.total_ms - timings.queue_ms - engineTime(timings) - timings.encode_ms - timings.store_ms,
  encode: (/** @type {Drawn} */ { timings }) => timings.encode_ms,
  store: (/** @type {Drawn} */ { timings }) => timings.store_ms,
};

await benchmark(async () => {
  const service = await startService(DEMO);
  await service.putPicture(USER, 'avatar', 'panda-on-purple');
  const options = { prompt: 'a fox on a blue background', size: '64x64', num_inference_steps: 1 };
  const generations = await measure('generations', () => service.draw('generations', options));
  const memory = await measure('memory', () => service.draw('memory', { ...options, user_id: USER }));
  return verdict(`median <= ${TARGET_MS} ms`, Math.max(generations, memory) <= TARGET_MS);
});

/**
 * @param {string} route
 * @param {() => Promise<Drawn>} draw
 * @returns {Promise<number>} the median overhead
 */
async function measure(route, draw) {
  const first = await draw(); // opens the connection and compiles what has not run yet: not counted
  /** @type {Drawn[]} */
  const drawn = [];
  while (drawn.length < pictures) drawn.push(await draw());

  const source = 'engine_ms' in first.timings ? 'engine_ms' : 'text_ms + image_ms + sampling_ms + decode_ms';
  const engine = quantile(
    drawn.map(({ timings }) => engineTime(timings)),
    0.5,
  );
  console.log(`\n${route}: ${pictures} pictures; median ${engine.toFixed(0)} ms in the engine (${source})`);
  console.table(
    Object.fromEntries(
      Object.entries(PARTS).map(([name, part]) => {
        const times = drawn.map(part);
        const [median, p90, max] = [0.5, 0.9, 1].map((share) => Number(quantile(times, share).toFixed(1)));
        return [name, { 'median ms': median, 'p90 ms': p90, 'max ms': max }];
      }),
    ),
  );
  return quantile(drawn.map(PARTS.overhead), 0.5);
}
