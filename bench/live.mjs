/** How fast the service says that it lives while it draws without pause. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from './support/arguments.mjs';
import { benchmark, verdict } from './support/benchmark.mjs';
import { DEMO, startService } from './support/service.mjs';
import { quantile } from './support/statistics.mjs';

const TARGET_MS = 20;
/** So many pictures are asked for at a time: one is drawn and the next one waits for the engine. */
const ARTISTS = 2;

const { rate, seconds, size, steps } = readArguments(
  'GET /health/live while pictures are made without pause.',
  {
    rate: { about: 'requests a second', default: 20 },
    seconds: { about: 'how long', default: 60 },
    size: { about: 'size of the pictures', default: '128x128' },
    steps: { about: 'their sampling steps', default: 8 },
  },
);

await benchmark(async () => {
  const service = await startService(DEMO);
  await service.get('/health/live'); // opens the connection
  const art = keepDrawing(service);
  await art.begun;

  const { latencies, late, failed } = await Promise.race([askOnSchedule(service), art.broken]);
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(latencies, share));
  console.log(
    `${latencies.length} requests at ${rate} a second, ${failed} failed, ${art.made()} pictures done meanwhile`,
  );
  console.log(`p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms`);
  console.log(`of which this script itself sent late: p99 ${quantile(late, 0.99).toFixed(1)} ms`);
  return verdict(`p99 <= ${TARGET_MS} ms, none failed`, p99 <= TARGET_MS && failed === 0);
});

/**
 * Open loop: each request has its moment, and its latency counts from there. A service that stalls gets the requests
 * all the same, and every one of them counts the stall (no coordinated omission).
 *
 * @param {import('./support/service.mjs').Service} service
 */
async function askOnSchedule(service) {
  /** @type {number[]} */
  const latencies = [];
  /** @type {number[]} */
  const late = [];
  let failed = 0;
  const begin = performance.now();

  const ask = async (/** @type {number} */ due) => {
    late.push(performance.now() - due);
    const { status } = await service.get('/health/live').catch(() => ({ status: 0 }));
    latencies.push(performance.now() - due);
    if (status !== 200) failed++;
  };

  const asked = [];
  for (let i = 0; i < rate * seconds; i++) {
    const due = begin + (i * 1000) / rate;
    // A timer may fire a fraction of a millisecond early.
    while (performance.now() < due) await sleep(due - performance.now());
    asked.push(ask(due));
  }
  await Promise.all(asked);
  return { latencies, late, failed };
}

/**
 * Pictures one after the other until the benchmark ends, of both routes: avatars are decoded in the API.
 *
 * @param {import('./support/service.mjs').Service} service
 */
function keepDrawing(service) {
  let made = 0;
  const draw = async () => {
    const options = { prompt: 'a fox on a blue background', size, num_inference_steps: steps };
    await service.draw('generations', options);
    made++;
    await service.draw('memory', { ...options, user_id: 'bench' });
    made++;
  };
  const begun = service.putPicture('bench', 'avatar', 'panda-on-purple');
  const artist = async () => {
    await begun;
    for (;;) await draw();
  };
  /** Never resolves; rejects when a picture fails. @type {Promise<never>} */
  const broken = Promise.race(Array.from({ length: ARTISTS }, artist));
  broken.catch(() => {}); // at the end the service goes in the middle of a picture
  return { begun, broken, made: () => made };
}
