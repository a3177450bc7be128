/**
 * npm run loadtest — how a running service bears a load: requests arrive at random moments, whether earlier ones are answered
 * or not, as those of many users do. A test in which each caller waits for its answer would slow down with the service, and
 * hide what users see.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from './support/arguments.mjs';
import { benchmark } from './support/benchmark.mjs';
import { client } from './support/service.client.mjs';
import { engineTime } from './support/service.mjs';
import { quantile, trend } from './support/statistics.mjs';

const { url, key, route, rate, seconds, size, steps, users, patience } = readArguments(
  'Requests for images at a running service, at random moments, and what becomes of them.',
  {
    url: { about: 'of the service', default: 'http://localhost:8000' },
    key: { about: 'with the scope draw, where the service has keys', default: '' },
    route: {
      about: 'generations, or memory and subject of users load-1, load-2 ...',
      default: 'generations',
    },
    rate: { about: 'requests a minute, on average', default: 12 },
    seconds: { about: 'for which requests arrive', default: 120 },
    size: { about: "WIDTHxHEIGHT, or the service's default", default: 'auto' },
    steps: { about: 'sampling steps', default: 30 },
    users: { about: 'for whom it is, in turns', default: 20 },
    patience: { about: 'seconds for an answer', default: 900 },
  },
);

/** @typedef {{ at: number, wall: number, status: number, code?: string, timings?: Record<string, number> }} Answer */

await benchmark(async () => {
  /** @type {Record<string, string>} */
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const service = client(url, headers, { patience: patience * 1000 });
  const began = performance.now();
  /** @type {Promise<Answer>[]} */
  const asked = [];
  for (let at = gap(); at < seconds * 1000; at += gap()) {
    await sleep(Math.max(0, at - (performance.now() - began)));
    asked.push(ask(service, at, asked.length));
    if (process.stderr.isTTY) process.stderr.write(`\r${asked.length} requests `);
  }
  const answers = await Promise.all(asked);
  const lasted = (performance.now() - began) / 1000;
  service.close();
  if (answers.length === 0) throw new Error('No request arrived: take a higher --rate or more --seconds');
  return report(answers, lasted);
});

/** Milliseconds until the next request: exponentially distributed, as between independent callers. */
function gap() {
  return (-Math.log(1 - Math.random()) * 60_000) / rate;
}

/**
 * @param {ReturnType<typeof client>} service
 * @param {number} at
 * @param {number} index
 * @returns {Promise<Answer>}
 */
async function ask(service, at, index) {
  const user = `load-${1 + (index % users)}`;
  const who = route === 'generations' ? { user } : { user_id: user };
  const prompt = route === 'subject' ? {} : { prompt: 'a lighthouse on a cliff, watercolour' };
  const body = { ...who, ...prompt, size, num_inference_steps: steps, seed: index };
  const from = performance.now();
  try {
    const { status, body: text } = await service.send(
      ...['POST', `/v1/images/${route}`, 'application/json', JSON.stringify(body)],
    );
    const { timings, error } = /** @type {{ timings?: Record<string, number>, error?: { code: string } }} */ (
      JSON.parse(text.toString())
    );
    return { at, wall: performance.now() - from, status, timings, code: error?.code };
  } catch (error) {
    const { code = 'no answer' } = /** @type {NodeJS.ErrnoException} */ (error);
    return { at, wall: performance.now() - from, status: 0, code };
  }
}

/**
 * @param {Answer[]} answers
 * @param {number} lasted seconds until the last answer
 */
function report(answers, lasted) {
  const drawn = answers.filter(({ status }) => status === 200);
  /** @type {Record<string, number>} */
  const outcomes = {};
  for (const { status, code } of answers) {
    const name = status === 200 ? '200' : `${status} ${code}`;
    outcomes[name] = (outcomes[name] ?? 0) + 1;
  }
  console.log(
    `\n${answers.length} requests in ${seconds} s (${rate} a minute), the last answer after ${lasted.toFixed(0)} s`,
  );
  console.table(outcomes);
  if (drawn.length === 0) return 1;
  /** @type {Record<string, (answer: Answer) => number>} */
  const parts = {
    'request to answer': ({ wall }) => wall,
    'waiting for an engine': ({ timings }) => timings?.queue_ms ?? 0,
    'in the engine': ({ timings }) => engineTime(timings ?? {}),
  };
  console.table(
    Object.fromEntries(
      Object.entries(parts).map(([name, part]) => {
        const values = drawn.map(part);
        const [p50, p90, p99, most] = [0.5, 0.9, 0.99, 1].map((share) => seconds1(quantile(values, share)));
        return [name, { 'median s': p50, 'p90 s': p90, 'p99 s': p99, 'most s': most }];
      }),
    ),
  );
  const busy = drawn.reduce((sum, answer) => sum + engineTime(answer.timings ?? {}), 0) / 1000;
  console.log(
    `Engines at work on average: ${(busy / lasted).toFixed(2)}; ${((60 * drawn.length) / lasted).toFixed(1)} images a minute`,
  );
  // Above what the engines can do, each request waits longer than the one before it.
  const growing =
    drawn.length >= 8 &&
    trend(drawn.toSorted((a, b) => a.at - b.at).map(parts['waiting for an engine'])).low > 0;
  const failed = drawn.length < answers.length;
  console.log(
    growing ? 'Saturated: the waits grew from request to request.' : 'Not saturated: the waits did not grow.',
  );
  return failed ? 1 : 0;
}

/** @param {number} ms */
function seconds1(ms) {
  return Number((ms / 1000).toFixed(1));
}
