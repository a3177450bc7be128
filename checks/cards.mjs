/**
 * NVIDIA's cards from 6 to 80 GB without one: the whole service over the CUDA stand-in with SDXL at its full size. Whether
 * the plan of the memory is what happens, for every card, picture and order; what neighbours, kills and time do to it.
 */
import { readArguments } from '../bench/support/arguments.mjs';
import { benchmark, verdict } from '../bench/support/benchmark.mjs';
import { makeMachine } from './cards/machine.mjs';
import { neighbour, surprise } from './cards/neighbour.mjs';
import { starvation } from './cards/starvation.mjs';
import { agrees, cardRows, countLaunches, deviation, fillCard } from './cards/table.mjs';
import { kill, lora, mixed } from './cards/trouble.mjs';

const RUN = {
  table,
  neighbour,
  surprise,
  starvation,
  kill,
  lora,
  mixed: (/** @type {import('./cards/machine.mjs').Machine} */ machine) => mixed(machine, pictures),
};
const GROUPS = Object.keys(RUN);

const { groups, cards, pictures } = readArguments('Cards of all sizes over the CUDA stand-in.', {
  groups: { about: `of ${GROUPS.join()}`, default: GROUPS.join() },
  cards: { about: 'of the table, in MiB', default: '6144,8192,11264,12288,16384,24576,49152,81559' },
  pictures: { about: 'of the group mixed', default: 300 },
});

/** @param {import('./cards/machine.mjs').Machine} machine */
async function table(machine) {
  const launches = await countLaunches(machine);
  const all = [];
  for (const card of cards.split(',').map(Number)) {
    const filled = await fillCard(machine, card, launches);
    console.log(`${card} MiB: ${filled.plan}${filled.planned ? '' : ' (NOT the plan of the files)'}`);
    console.log(`\n${cardRows([filled])}\n`);
    all.push(filled);
  }
  const cells = all.flatMap((card) => card.cells);
  const wrong = cells.filter((cell) => !agrees(cell));
  const most = Math.max(0, ...cells.map((cell) => Math.abs(deviation(cell))));
  console.log(
    `${cells.length} pictures asked for, ${wrong.length} not as planned; peaks off by ${(most * 100).toFixed(1)} % at most`,
  );
  return verdict('as planned in every cell', wrong.length === 0 && all.every(({ planned }) => planned));
}

await benchmark(async () => {
  const wanted = groups.split(',');
  const unknown = wanted.find((name) => !GROUPS.includes(name));
  if (unknown) throw new Error(`Expected groups of ${GROUPS.join()} but received ${unknown}`);
  const machine = await makeMachine();
  const results = [];
  for (const name of wanted) {
    console.log(`\n## ${name}\n`);
    results.push(await RUN[/** @type {keyof typeof RUN} */ (name)](machine));
  }
  return Math.max(...results);
});
