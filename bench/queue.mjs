/** The embedded queue: submissions and takes a second, each with its commits, in an empty file and behind finished jobs. */
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { readArguments } from './support/arguments.mjs';
import { atEnd, benchmark, temporaryFolder, verdict } from './support/benchmark.mjs';
import { quantile } from './support/statistics.mjs';

const TARGET_RATE = 2000;
const TARGET_P99_MS = 5;
/** Submissions a second of callers who all submit at once, and how many they are. */
const TARGET_BURST = 5000;
const AT_ONCE = 16;
/** Jobs that wait at most, as with the default of QUEUE_LIMIT. */
const QUEUED = 800;
/** How much slower it may be behind the finished jobs. */
const TARGET_LOSS = 0.2;
const CALLERS = 20;
/** Jobs that run before they are ended, which is not measured. */
const BATCH = 100;
/** Copies of a finished job, faster than through the store. */
const COPIES = `
  WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ?)
  INSERT INTO jobs (id, caller, user_id, route, state, start, finish, width, height, steps, reference,
                    finished_at, deadline_at, webhook_at, record)
  SELECT lower(hex(randomblob(12))), caller, 'user-' || n % 1000, route, state, start, finish, width, height, steps,
         reference, finished_at + n, deadline_at, webhook_at, record
  FROM count, (SELECT * FROM jobs WHERE finished_at IS NOT NULL LIMIT 1)`;

const { jobs, finished, rounds } = readArguments('Submissions and takes of the embedded queue.', {
  jobs: { about: 'jobs a round', default: 4000 },
  finished: { about: 'finished jobs in the file in the second half', default: 100_000 },
  rounds: { about: 'rounds in each half; the median counts', default: 3 },
});

const built = createRequire(join(import.meta.dirname, '../dist/libs/jobs/'));
/** @type {typeof import('../libs/jobs/embedded/jobs.database.js')} */
const { JobsDatabase } = built('./embedded/jobs.database.js');
/** @type {typeof import('../libs/jobs/embedded/sqlite.job.store.js')} */
const { SqliteJobStore } = built('./embedded/sqlite.job.store.js');
/** @type {typeof import('../libs/jobs/embedded/sqlite.job.queue.js')} */
const { SqliteJobQueue } = built('./embedded/sqlite.job.queue.js');
/** @type {typeof import('../libs/jobs/job.transitions.js')} */
const { cancel, start } = built('./job.transitions.js');

/** @typedef {{ rate: number, p50: number, p99: number, max: number }} Figures */

/**
 * What a submission carries: 1.2 KB of JSON.
 *
 * @param {number} n
 * @returns {import('../libs/jobs/job.record.js').JobDraft}
 */
function draft(n) {
  const id = randomBytes(12).toString('hex');
  const now = Date.now();
  return {
    version: 1,
    id,
    caller: `caller-${n % CALLERS}`,
    state: 'queued',
    picture: {
      id,
      route: 'memory',
      userId: `user-${n % 1000}`,
      prompt: 'a fox on a blue background, '.repeat(15),
      negativePrompt: 'blurred, '.repeat(10),
      ...{ width: 1024, height: 1024, steps: 30, guidanceScale: 5, seed: n, ipAdapterScale: 0.6 },
      loras: [],
      referenceKey: `inputs/${id}`,
      key: `generated/user-${n % 1000}/memory_${id}.png`,
    },
    createdAt: now,
    deadlineAt: now + 3_600_000,
    attempts: 0,
    crashes: 0,
    cost: 30,
    idempotency: { key: randomBytes(12).toString('hex'), fingerprint: randomBytes(32).toString('hex') },
  };
}

/**
 * @param {readonly number[]} submissions milliseconds each
 * @param {number} seconds
 * @returns {Figures}
 */
function figures(submissions, seconds) {
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(submissions, share));
  return { rate: submissions.length / seconds, p50, p99, max };
}

await benchmark(async () => {
  const database = JobsDatabase.open(await temporaryFolder());
  atEnd(() => Promise.resolve(database.close()));
  const store = new SqliteJobStore(database);
  /** @type {import('../libs/jobs/job.queue.js').JobQueue} */
  const queue = new SqliteJobQueue(database);
  await queue.start(() => Promise.resolve(undefined));

  /** @returns {Promise<Figures>} */
  async function round() {
    /** @type {number[]} */
    const submissions = [];
    let seconds = 0;
    for (let done = 0; done < jobs; done += BATCH) {
      /** @type {string[]} */
      const running = [];
      const began = performance.now();
      for (let n = 0; n < BATCH; n++) {
        const submitted = performance.now();
        const acceptance = await store.accept(draft(n), { limit: 1000, limitPerCaller: 100 });
        if (acceptance.outcome !== 'accepted') throw new Error(`Not accepted: ${acceptance.outcome}`);
        await queue.add(acceptance.job);
        submissions.push(performance.now() - submitted);
        const lease = await queue.take(new AbortController().signal);
        if (!lease) throw new Error('No job came');
        await store.update(lease.id, start(Date.now()));
        await lease.done();
        running.push(lease.id);
      }
      seconds += (performance.now() - began) / 1000;
      for (const id of running) await store.update(id, cancel('Ended', Date.now()));
    }
    return figures(submissions, seconds);
  }

  /** Submissions alone, by callers who submit again as soon as they are answered. @returns {Promise<Figures>} */
  async function burst() {
    /** @type {number[]} */
    const submissions = [];
    let seconds = 0;
    while (submissions.length < jobs) {
      /** @type {string[]} */
      const ids = [];
      const began = performance.now();
      const submitAll = async () => {
        while (ids.length < QUEUED) {
          const each = draft(ids.length);
          ids.push(each.id);
          const submitted = performance.now();
          const acceptance = await store.accept(each, { limit: 1000, limitPerCaller: 100 });
          if (acceptance.outcome !== 'accepted') throw new Error(`Not accepted: ${acceptance.outcome}`);
          await queue.add(acceptance.job);
          submissions.push(performance.now() - submitted);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, submitAll));
      seconds += (performance.now() - began) / 1000;
      await Promise.all(ids.map((id) => store.update(id, cancel('Ended', Date.now()))));
    }
    return figures(submissions, seconds);
  }

  /** @param {string} name @param {() => Promise<Figures>} [once] */
  async function measure(name, once = round) {
    await once(); // not counted: compiles what has not run yet
    /** @type {Figures[]} */
    const all = [];
    while (all.length < rounds) all.push(await once());
    console.log(`\n${name}: ${rounds} rounds of ${jobs} jobs; submission = accept + add`);
    console.table(
      all.map(({ rate, p50, p99, max }) => ({
        'jobs/s': Math.round(rate),
        'submission p50 ms': Number(p50.toFixed(2)),
        'p99 ms': Number(p99.toFixed(2)),
        'max ms': Number(max.toFixed(2)),
      })),
    );
    return {
      rate: quantile(
        all.map(({ rate }) => rate),
        0.5,
      ),
      p99: quantile(
        all.map(({ p99 }) => p99),
        0.5,
      ),
    };
  }

  const few = await measure('Empty file');
  database.write('crash', () => database.prepare(COPIES).run(finished));
  const many = await measure(`Behind ${finished} finished jobs`);
  const together = await measure(`${AT_ONCE} callers at once, submissions alone`, burst);
  const loss = 1 - many.rate / few.rate;
  return Math.max(
    verdict(
      `>= ${TARGET_BURST} submissions/s of ${AT_ONCE} at once, p99 <= ${TARGET_P99_MS} ms: ` +
        `${together.rate.toFixed(0)}, ${together.p99.toFixed(2)} ms`,
      together.rate >= TARGET_BURST && together.p99 <= TARGET_P99_MS,
    ),
    verdict(`>= ${TARGET_RATE} jobs/s: ${few.rate.toFixed(0)}`, few.rate >= TARGET_RATE),
    verdict(
      `p99 of a submission <= ${TARGET_P99_MS} ms: ${few.p99.toFixed(2)} and ${many.p99.toFixed(2)}`,
      Math.max(few.p99, many.p99) <= TARGET_P99_MS,
    ),
    verdict(
      `at most ${TARGET_LOSS * 100} % slower behind finished jobs: ${(loss * 100).toFixed(0)} %`,
      loss <= TARGET_LOSS,
    ),
  );
});
