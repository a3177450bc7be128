/**
 * Everything dies at once with jobs waiting: what the next start makes of them, and how long the engine stands idle
 * between two of them.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { quantile } from '../bench/support/statistics.mjs';

const TARGET_MS = 5;

const { waiting } = readArguments(
  'kill -9 of the service and its engine with jobs waiting and one running.',
  {
    waiting: { about: 'jobs that wait', default: 50 },
  },
);

await benchmark(async () => {
  const folder = await temporaryFolder();
  const first = await startService(DEMO, { folder });
  const options = { prompt: 'a fox on a blue background', size: '64x64', num_inference_steps: 1 };
  const ids = [];
  for (let i = 0; i <= waiting; i++) ids.push(await first.submit('generations', { ...options, seed: i }));
  while ((await first.job(ids[0])).state === 'queued') await sleep(20);
  const states = await Promise.all(ids.map(async (id) => (await first.job(id)).state));
  await first.killGroup();
  console.log(`Killed with ${count(states, 'running')} running, ${count(states, 'queued')} queued`);

  /** @type {number[]} */
  const idle = [];
  const variables = { ...DEMO, LOG_LEVEL: 'debug' };
  const second = await startService(variables, {
    folder,
    onLine: (line) => {
      const found = /"idle_ms":([\d.]+)/.exec(line);
      if (found) idle.push(Number(found[1]));
    },
  });
  for (;;) {
    const jobs = await Promise.all(ids.map((id) => second.job(id)));
    if (jobs.every(({ state }) => state !== 'queued' && state !== 'running')) break;
    await sleep(500);
  }
  const ends = await Promise.all(ids.map((id) => second.job(id)));
  const stored = (await readdir(join(folder, 'generated'))).sort();
  const once =
    stored.join() ===
    ids
      .map((id) => `${id}.png`)
      .sort()
      .join();
  const left = await readdir(join(folder, 'inputs')).catch(() => []);
  const succeeded = ends.filter(({ state }) => state === 'succeeded').length;
  console.log(
    `${succeeded} of ${ids.length} succeeded; ${stored.length} pictures stored, each job's once: ${once}; ` +
      `${left.length} copies of reference pictures left`,
  );
  const [median, p99] = [0.5, 0.99].map((share) => quantile(idle, share));
  console.log(
    `Engine idle between ${idle.length} pairs of jobs: median ${median.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
  );
  const all = succeeded === ids.length && once;
  return verdict(`all succeed, each stored once; idle <= ${TARGET_MS} ms`, all && median <= TARGET_MS);
});

/**
 * @param {readonly string[]} states
 * @param {string} state
 */
function count(states, state) {
  return states.filter((one) => one === state).length;
}
