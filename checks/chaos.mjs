/**
 * Engine processes that die at random moments while callers draw without pause: what becomes of their jobs, and how
 * soon there is an engine again.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, temporaryFolder, verdict } from '../bench/support/benchmark.mjs';
import { EngineNews } from '../bench/support/engine.news.mjs';
import { randomNumbers } from '../bench/weights/random.numbers.mjs';
import { DEMO, startService } from '../bench/support/service.mjs';
import { quantile } from '../bench/support/statistics.mjs';

/** Share of the jobs whose engine died under them once or never that must succeed. */
const SUCCESS = 0.95;
/** Milliseconds beyond the load of the model, after a death that followed a finished picture. */
const READY_AFTER = 1_000;
/** Milliseconds for a job to end after the last death. */
const STUCK_AFTER = 180_000;

const { kills, callers, seed, seconds, longest, signal } = readArguments(
  'kill -9 of the engine process at random moments under steady load.',
  {
    kills: { about: 'deaths', default: 100 },
    callers: { about: 'callers, each with one job at a time', default: 3 },
    seed: { about: 'of the moments', default: 1 },
    seconds: { about: 'stop killing after this time', default: 3600 },
    longest: { about: 'latest moment, in milliseconds after an engine was ready', default: 8000 },
    signal: { about: 'SIGKILL, or SIGSTOP for an engine that hangs', default: 'SIGKILL' },
  },
);

await benchmark(async () => {
  const folder = await temporaryFolder();
  const news = new EngineNews();
  const service = await startService(
    { ...DEMO, LOG_LEVEL: 'debug' },
    { folder, onLine: (line) => news.read(line) },
  );
  /** By id: undefined while the caller has not heard of its end. @type {Map<string, string | undefined>} */
  const jobs = new Map();
  /** Answers to callers that would wait, by status. @type {Map<number, number>} */
  const answers = new Map();
  const over = new AbortController();
  const options = { prompt: 'a fox on a blue background', size: '64x64', num_inference_steps: 1 };

  /** Hands a job in and looks at it until it ends; or, the first of the callers, waits for the picture. */
  const call = async (/** @type {number} */ caller) => {
    for (let n = 0; !over.signal.aborted; n++) {
      const waits = caller === 0;
      const headers = {
        'idempotency-key': `${caller}-${n}`,
        ...(!waits && { prefer: 'respond-async' }),
      };
      const wanted = { ...options, seed: caller * 1_000_000 + n, user: `caller-${caller}` };
      const answer = await service.ask('generations', wanted, headers);
      if (waits) answers.set(answer.status, (answers.get(answer.status) ?? 0) + 1);
      if (answer.status === 503 || answer.status === 429) {
        await sleep(1000 * Number(answer.headers['retry-after']));
        n--; // the same key: whatever became of it, it is not drawn twice
        continue;
      }
      const { id } = /** @type {{ id?: string }} */ (JSON.parse(answer.body.toString()));
      if (id === undefined) continue; // the error of a finished job, which the list below shows
      jobs.set(id, answer.status === 200 ? 'succeeded' : undefined);
      while (jobs.get(id) === undefined) {
        const { state } = await service.job(id);
        if (isOver(state)) jobs.set(id, state);
        else await sleep(100);
      }
    }
  };
  const working = Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  working.catch(() => {});

  const random = randomNumbers(seed);
  const until = performance.now() + 1000 * seconds;
  /** @type {{ first: boolean, overhead: number }[]} */
  const deaths = [];
  while (deaths.length < kills && performance.now() < until) {
    await sleep(random() * longest);
    const pid = service.enginePid();
    if (pid === undefined) continue;
    const ready = news.nextReady();
    const killed = performance.now();
    process.kill(pid, /** @type {NodeJS.Signals} */ (signal));
    const { loadMs, deaths: inARow } = await Promise.race([ready, working.then(() => ready)]);
    deaths.push({ first: inARow === 1, overhead: performance.now() - killed - loadMs });
    if (deaths.length % 10 === 0) console.log(`${deaths.length} deaths, ${jobs.size} jobs`);
  }
  const ended = performance.now();
  const lasted = Math.round((ended - until) / 1000 + seconds);
  over.abort();
  await Promise.race([working, sleep(STUCK_AFTER, undefined, { ref: false })]);

  const all = await allJobs(service);
  const stuck = all.filter(({ state }) => !isOver(state));
  const lost = [...jobs.keys()].filter((id) => !all.some((job) => job.id === id));
  const twice = all.filter(({ error }) => error?.code === 'engine_crashed');
  const others = all.filter((job) => !twice.includes(job) && !stuck.includes(job));
  const succeeded = all.filter(({ state }) => state === 'succeeded');
  const share = succeeded.length / Math.max(1, others.length);
  const files = await readdir(join(folder, 'generated'), { recursive: true });
  const stored = files.filter((path) => path.endsWith('.png'));
  const doubled = succeeded.filter(({ id }) => news.drawn.get(id) !== 1).length;
  const strays = stored.filter((name) => !succeeded.some(({ id }) => name.endsWith(`${id}.png`))).length;
  console.log(
    `${deaths.length} deaths by ${signal} in ${lasted} s, ${all.length} jobs of ${callers} callers: ` +
      `${succeeded.length} succeeded, ${twice.length} failed as their engine died twice, ${others.length - succeeded.length} otherwise`,
  );
  console.log(
    `${lost.length} lost, ${stuck.length} stuck ${Math.round((performance.now() - ended) / 1000)} s after the last death, ` +
      `${doubled} not drawn exactly once, ${stored.length} pictures stored, ${strays} of them of no job that succeeded`,
  );
  console.log(`Of jobs whose engine died less than twice ${(100 * share).toFixed(1)} % succeeded`);
  console.log(`Answers to the caller that waits: ${[...answers].map(([s, n]) => `${n} x ${s}`).join(', ')}`);
  for (const first of [true, false]) {
    const times = deaths.filter((death) => death.first === first).map(({ overhead }) => overhead);
    if (times.length === 0) continue;
    const [median, p99, most] = [0.5, 0.99, 1].map((at) => Math.round(quantile(times, at)));
    const when = first ? 'after a finished picture' : 'in a row without one';
    console.log(
      `${times.length} deaths ${when}: ready again ${median} ms beyond the load (p99 ${p99}, max ${most})`,
    );
  }
  const slow = deaths.filter(({ first, overhead }) => first && overhead > READY_AFTER).length;
  const bound = signal === 'SIGKILL' ? slow === 0 : true;
  return verdict(
    `none lost, stuck or doubled; ${100 * SUCCESS} % succeed; ready within the load + ${READY_AFTER} ms`,
    lost.length + stuck.length + doubled + strays === 0 && share >= SUCCESS && bound,
  );
});

/** @param {string} state */
function isOver(state) {
  return state !== 'queued' && state !== 'running';
}

/**
 * @param {import('../bench/support/service.mjs').Service} service
 * @returns {Promise<import('../bench/support/service.mjs').Job[]>}
 */
async function allJobs(service) {
  /** @type {import('../bench/support/service.mjs').Job[]} */
  const jobs = [];
  for (let next = ''; ;) {
    const { body } = await service.get(`/v1/jobs?limit=100${next}`);
    const page =
      /** @type {{ data: import('../bench/support/service.mjs').Job[], has_more: boolean, next_cursor: string }} */ (
        JSON.parse(body.toString())
      );
    jobs.push(...page.data);
    if (!page.has_more) return jobs;
    next = `&cursor=${encodeURIComponent(page.next_cursor)}`;
  }
}
