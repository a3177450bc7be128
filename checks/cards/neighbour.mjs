/** Another program on the card, which takes memory before the load or in the middle of a picture. */
import { verdict } from '../../bench/support/benchmark.mjs';
import { jobEnd, MIB, requestOf, until } from './machine.mjs';
import {
  agrees,
  cardRows,
  countLaunches,
  fillCard,
  markdown,
  outcomeOf,
  plannedFor,
  planOf,
  SIZES,
} from './table.mjs';

/** @typedef {import('./machine.mjs').Machine} Machine */
/** @typedef {import('./machine.mjs').Running} Running */

const GB = 1024 * MIB;
const KIND = 'avatar + LoRA';
const BEFORE = [12_288, 24_576];
/** Cards in MiB, and what is taken in the middle of a picture, in GB: a bit, and more than there is. */
const DURING = [
  [12_288, 4],
  [12_288, 6],
  [24_576, 4],
  [24_576, 12],
];

/**
 * Memory that is taken before the load is in the plan.
 *
 * @param {Machine} machine
 */
export async function neighbour(machine) {
  const launches = await countLaunches(machine);
  const before = [];
  for (const card of BEFORE) {
    const filled = await fillCard(machine, card, launches, 4 * GB);
    console.log(`${card} MiB, 4 GB taken: ${filled.plan}`);
    before.push(filled);
  }
  console.log(`\n4 GB taken before the load:\n\n${cardRows(before)}\n`);
  const right = before.every(({ planned, cells }) => planned && cells.every(agrees));
  return verdict('planned around it', right);
}

/**
 * Memory that is taken in the first step of a picture, and given back after it.
 *
 * @param {Machine} machine
 */
export async function surprise(machine) {
  const launches = await countLaunches(machine);
  const rows = [];
  for (const [card, taken] of DURING) {
    const { plan } = await planOf(machine, card);
    if (!plan) throw new Error(`Nothing fits ${card} MiB`);
    const running = await machine.start(`Card:${card}:8.9`, { CUDA_STANDIN_LAUNCH_US: '20' });
    for (const size of SIZES.slice(1)) {
      const row = await taking(running, size, taken, launches[`${KIND} ${size}`]);
      rows.push({ card, taken, size, planned: plannedFor(plan, size), ...row });
    }
    await running.stop();
  }
  const head = ['card', 'taken', 'size', 'told', 'kernels', 'the next picture', 'engine'];
  const texts = rows.map((row) => [
    ...[`${row.card} MiB`, `${row.taken} GB`, row.size, row.told],
    ...[`${row.times.toFixed(2)} pictures`, row.next, row.survived ? 'the same' : 'the next'],
  ]);
  console.log(`${markdown(head, texts)}\n`);
  const right = rows.every(({ understood, next, planned }) => understood && next === planned);
  return verdict('told as memory, with a size; the next picture as planned', right);
}

/**
 * @param {Running} running
 * @param {string} size
 * @param {number} taken GB
 * @param {import('./table.mjs').Launches[string]} known
 */
async function taking(running, size, taken, known) {
  const { service, books } = running;
  const engine = service.enginePid();
  const { launches } = books.read();
  const id = await service.submit(...requestOf(KIND, size));
  await until(async () => ((await service.job(id)).progress?.step ?? 0) > 0, 'draws');
  books.set('taken', taken * GB);
  const { error, warnings } = await jobEnd(running, id);
  const times = (books.read().launches - launches) / known['at once'];
  books.set('taken', 0);
  await until(async () => (await service.get('/health/ready')).status === 200, 'is ready again');
  const next = await running.draw(KIND, size);
  return {
    told: error ? `${error.code}: ${error.message}` : ['drawn', ...warnings].join('; '),
    understood: !error || (error.code === 'out_of_memory' && /\d+x\d+/.test(error.message)),
    times,
    next: /** @type {string} */ (outcomeOf(next, known).outcome),
    survived: service.enginePid() === engine,
  };
}
