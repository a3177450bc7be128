/** Many watchers of one job: what each is told, what they cost, and whether the service still answers. */
import { Agent, get } from 'node:http';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, verdict } from '../bench/support/benchmark.mjs';
import { observe, residentMb } from '../bench/support/observe.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { quantile } from '../bench/support/statistics.mjs';

const MOST_MB = 100;
const LIVE_MS = 50;

const { streams, steps } = readArguments('Open event streams during a job.', {
  streams: { about: 'open at a time', default: 1000 },
  steps: { about: 'sampling steps of the job', default: 50 },
});

/** @typedef {import('../bench/support/service.mjs').Service} Service */

await benchmark(async () => {
  const service = await startService(DEMO);
  const small = { prompt: 'a fox on a blue background', size: '64x64', num_inference_steps: 1 };
  await service.draw('generations', small); // what runs first takes memory once
  const before = await residentMb(service.child.pid);
  const id = await service.submit('generations', { ...small, size: '128x128', num_inference_steps: steps });
  const agent = new Agent({ maxSockets: Infinity });
  const watchers = Array.from({ length: streams }, () => watch(service, id, agent));
  const all = Promise.all(watchers);
  const [{ latencies, most }, told] = await Promise.all([observe(service, all), all]);

  const whole = told.filter(
    (names) =>
      names[0] === 'state' &&
      names.filter((name) => name === 'state').length >= 2 &&
      names.at(-1) === 'result',
  ).length;
  const steady = told.map((names) => names.filter((name) => name === 'progress').length);
  const p99 = quantile(latencies, 0.99);
  console.log(
    `${whole} of ${streams} streams got start, states and end; ${Math.min(...steady)} to ${Math.max(...steady)} progress events each`,
  );
  console.log(
    `API memory: ${before.toFixed(0)} MB before, at most ${most.toFixed(0)} MB (+${(most - before).toFixed(0)} MB)`,
  );
  console.log(
    `GET /health/live: p50 ${quantile(latencies, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (${latencies.length} requests)`,
  );
  const met = whole === streams && most - before < MOST_MB && p99 <= LIVE_MS;
  return verdict(`every stream whole, < ${MOST_MB} MB, live p99 <= ${LIVE_MS} ms`, met);
});

/**
 * The names of all events of one stream, until the server closes it.
 *
 * @param {Service} service
 * @param {string} id
 * @param {Agent} agent
 * @returns {Promise<string[]>}
 */
function watch(service, id, agent) {
  return new Promise((resolve, reject) => {
    const call = get(`${service.url}/v1/jobs/${id}/events`, { agent }, (response) => {
      let text = '';
      response.on('data', (/** @type {Buffer} */ chunk) => (text += chunk.toString()));
      response.on('error', reject);
      response.on('end', () => resolve([...text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name)));
    });
    call.on('error', reject);
  });
}
