/** Every place where memory can run out: the card is left with a little more of it each time, until the picture is drawn. */
import { verdict } from '../../bench/support/benchmark.mjs';
import { engineOf, MIB, until } from './machine.mjs';
import { markdown } from './table.mjs';

/** @typedef {import('./machine.mjs').Machine} Machine */
/** @typedef {import('./machine.mjs').Running} Running */
/** @typedef {import('./machine.mjs').Kind} Kind */
/**
 * @typedef {{ where: string, status: number, told: string, process: 'the same' | 'another', picture: string, left: number,
 *   said: string, understood: boolean }} Attempt `left`: MiB; `said`: by the engine
 */

const CARD = 'Card:24576:8.9';
const SIZE = '1024x1024';
/** MiB that are left. */
const STEP = 100;
const MOST = 8_000;
/** Enough for the text encoders, and not for the image encoder: the engine goes on without the reference picture. */
const NO_REFERENCE = 514;
/** Of a load, in MiB: nothing, and a part of the weights. */
const LOADS = [0, 3_000, 6_000, 9_000];

/** @type {readonly [Kind, Record<string, string>][]} */
const CASES = [
  ['text', { VAE_TILING: 'never' }],
  ['text', { VAE_TILING: 'always' }],
  ['avatar', { VAE_TILING: 'never' }],
  ['avatar + LoRA', { VAE_TILING: 'always' }],
  ['avatar + LoRA', { VAE_TILING: 'never', LORA_MODE: 'merged' }],
  ['avatar + LoRA', { VAE_TILING: 'never', VRAM_PLAN: 'small' }],
];
/** @type {Record<string, string>} */
const PLACES = { image: 'reference picture' };

/** @param {Machine} machine */
export async function starvation(machine) {
  const attempts = await starveLoads(machine);
  for (const [kind, variables] of CASES) attempts.push(...(await starve(machine, kind, variables)));
  console.log(`${rowsOf(attempts)}\n`);
  const right = attempts.every(({ understood }) => understood);
  return verdict('each told as memory, with a size; drawn once there is enough', right);
}

/**
 * Without flash attention there is no plan that would refuse the model before it is loaded.
 *
 * @param {Machine} machine
 */
async function starveLoads(machine) {
  /** @type {Attempt[]} */
  const attempts = [];
  for (const left of LOADS) {
    const running = await machine.start(
      CARD,
      { FLASH_ATTENTION: 'false' },
      { ready: false, taken: (24_576 - 400 - left) * MIB },
    );
    await until(async () => (await engineOf(running)).state === 'failed', 'has failed');
    const { reason = '' } = await engineOf(running);
    const { status, code } = await running.draw('text', SIZE);
    const understood = code === 'engine_not_ready' && /memory/.test(reason);
    running.books.set('taken', 0);
    await until(async () => (await engineOf(running)).state === 'ready', 'is ready again');
    await running.stop();
    const told = `${code}; readiness: ${reason.split(': ')[0]}`;
    attempts.push({
      ...{
        where: 'loading',
        status,
        told,
        process: 'another',
        picture: 'any',
        left,
        said: reason,
        understood,
      },
    });
  }
  return attempts;
}

/**
 * @param {Machine} machine
 * @param {Kind} kind
 * @param {Record<string, string>} variables
 */
async function starve(machine, kind, variables) {
  const lines = /** @type {string[]} */ ([]);
  const running = await machine.start(CARD, variables, { onLine: (line) => void lines.push(line) });
  const picture = [kind, ...Object.entries(variables).map((pair) => pair.join('='))].join(', ');
  /** @type {Attempt[]} */
  const attempts = [];
  const lefts = Array.from({ length: MOST / STEP }, (_, i) => i * STEP);
  if (kind !== 'text') lefts.push(NO_REFERENCE);
  for (const left of lefts.sort((a, b) => a - b)) {
    lines.length = 0;
    const { phase, ...attempt } = await attemptWith(running, kind, left);
    const said = lines.flatMap((line) => /engine: ([^"]+)/.exec(line)?.[1] ?? []);
    const failed = said.find((line) => /failed|retrying/.test(line)) ?? '';
    const where = failed ? placeOf(phase, said, variables.VAE_TILING === 'always') : 'nowhere';
    const last = left + STEP >= MOST;
    const understood = attempt.understood && !(last && attempt.status !== 200);
    attempts.push({ ...attempt, where, picture, left, said: failed, understood });
    if (attempt.status === 200) break;
  }
  await running.stop();
  return attempts;
}

/**
 * One picture with so much of the card's memory, and how far its job came.
 *
 * @param {Running} running
 * @param {Kind} kind
 * @param {number} left MiB
 */
async function attemptWith(running, kind, left) {
  const { service, books } = running;
  const engine = service.enginePid();
  books.set('taken', Math.max(0, books.read().memory - books.held() - left * MIB));
  const { status, code, message, warnings } = await running.draw(kind, SIZE);
  const survived = service.enginePid() === engine;
  books.set('taken', 0);
  const newest = (await service.get('/v1/jobs?limit=1')).body.toString();
  const { data } = /** @type {{ data: { id: string }[] }} */ (JSON.parse(newest));
  const events = (await service.get(`/v1/jobs/${data[0].id}/events`)).body.toString();
  await until(async () => (await service.get('/health/ready')).status === 200, 'is ready again');
  const drawn = status === 200;
  return {
    ...{ status, process: /** @type {Attempt['process']} */ (survived ? 'the same' : 'another') },
    phase: [...events.matchAll(/"phase":"(\w+)"/g)].at(-1)?.[1] ?? 'none',
    told: drawn ? ['drawn', ...warnings].join('; ') : `${code}: ${message}`,
    understood: drawn || (code === 'out_of_memory' && /\d+x\d+/.test(message)),
  };
}

/**
 * @param {string} phase
 * @param {readonly string[]} said
 * @param {boolean} inTiles
 */
function placeOf(phase, said, inTiles) {
  if (said.some((line) => /lora/i.test(line))) return 'LoRA';
  return phase === 'decoding' && inTiles ? 'in a tile' : (PLACES[phase] ?? phase);
}

/** One row for each place and outcome, with the pictures that it was seen with. @param {readonly Attempt[]} attempts */
function rowsOf(attempts) {
  /** @type {Map<string, Attempt[]>} */
  const rows = new Map();
  for (const attempt of attempts) {
    const { where, status, told, process } = attempt;
    const key = [where, status, told, process].join();
    rows.set(key, [...(rows.get(key) ?? []), attempt]);
  }
  const texts = [...rows.values()].map((same) => {
    const [{ where, status, told, process, said }] = same;
    const lefts = same.map(({ left }) => left);
    const pictures = [...new Set(same.map(({ picture }) => picture))].join('; ');
    return [where, status, told, process, `${Math.min(...lefts)}-${Math.max(...lefts)}`, pictures, said];
  });
  const head = ['where', 'status', 'told', 'process', 'left, MiB', 'pictures', 'the engine said'];
  return markdown(head, texts);
}
