/** Jobs that are cancelled at random moments: how fast, and when the engine is free again. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { randomNumbers } from '../bench/weights/random.numbers.mjs';
import { DEMO, health, startService } from '../bench/support/service.mjs';
import { quantile } from '../bench/support/statistics.mjs';

const TARGET_MS = 100;

const { jobs, seed, longest } = readArguments('Cancel of jobs at random moments of their life.', {
  jobs: { about: 'jobs, one after the other', default: 100 },
  seed: { about: 'of the moments', default: 1 },
  longest: { about: 'latest moment, in milliseconds after the job was handed in', default: 6000 },
});

await benchmark(async () => {
  const folder = await temporaryFolder();
  const service = await startService(DEMO, { folder });
  const random = randomNumbers(seed);
  // Long enough that no moment comes too late.
  const options = { prompt: 'a fox on a blue background', size: '128x128', num_inference_steps: 100 };
  /** @type {number[]} */
  const latencies = [];
  /** Milliseconds until the engine was free again, by where it was. @type {Map<string, number[]>} */
  const free = new Map();
  let cancelled = 0;
  for (let i = 0; i < jobs; i++) {
    const id = await service.submit('generations', options);
    await sleep(random() * longest);
    const { progress } = await service.job(id);
    const asked = performance.now();
    const { state } = await service.cancel(id);
    latencies.push(performance.now() - asked);
    if (state === 'cancelled') cancelled++;
    while ((await health(service)).state !== 'ready') await sleep(5);
    const phase = progress?.phase ?? 'queued';
    free.set(phase, [...(free.get(phase) ?? []), performance.now() - asked]);
  }
  const stored = await readdir(join(folder, 'generated')).catch(() => []);
  const [median, most] = [0.5, 1].map((share) => quantile(latencies, share));
  console.log(`${cancelled} of ${jobs} cancelled, ${stored.length} pictures stored`);
  console.log(`DELETE to cancelled: median ${median.toFixed(1)} ms, max ${most.toFixed(1)} ms`);
  console.log('The engine was free again after:');
  console.table(
    Object.fromEntries(
      [...free].map(([phase, times]) => [
        phase,
        {
          cancels: times.length,
          'median ms': Math.round(quantile(times, 0.5)),
          'max ms': Math.round(Math.max(...times)),
        },
      ]),
    ),
  );
  const target = `all cancelled, none stored, each <= ${TARGET_MS} ms`;
  return verdict(target, cancelled === jobs && stored.length === 0 && most <= TARGET_MS);
});
