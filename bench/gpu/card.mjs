/** What NVIDIA's tool tells of a card; on other makes, and where the tool is not at hand, nothing. */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { atEnd } from '../support/benchmark.mjs';

/** @typedef {import('../../native/index.js').Device} Device */
/** `id`: what nvidia-smi's -i takes. @typedef {{ id: string, name: string, driver: string, mib: number }} Card */

const run = promisify(execFile);
const TOOL = 'nvidia-smi';
/** Milliseconds between two looks at the memory. */
const EVERY = 50;

/** @returns {Promise<Card[]>} */
export async function cards() {
  const query = ['--query-gpu=index,name,driver_version,memory.total', '--format=csv,noheader,nounits'];
  const { stdout } = await run(TOOL, query).catch(() => ({ stdout: '' }));
  const lines = stdout.trim().split('\n').filter(Boolean);
  return lines.map((line) => {
    const [id, name, driver, mib] = line.split(',').map((text) => text.trim());
    return { id, name, driver, mib: Number(mib) };
  });
}

/**
 * The card that is the engine's device: CUDA counts those that it sees, in the tool's order if CUDA_DEVICE_ORDER says so;
 * others go by the name, and only where no two are alike.
 *
 * @param {Device} device
 * @param {Card[]} all
 * @param {string | undefined} visible CUDA_VISIBLE_DEVICES
 */
export function cardOf({ name, description }, all, visible) {
  const number = /^CUDA(\d+)$/.exec(name)?.[1];
  if (number) {
    const id = visible ? visible.split(',')[Number(number)]?.trim() : number;
    const known = all.find((card) => card.id === id);
    // A UUID, or a part of a card (MIG): the tool takes it, too.
    return known ?? (all.length === 1 && id ? { ...all[0], id } : undefined);
  }
  const alike = all.filter((card) => description.includes(card.name));
  return alike.length === 1 ? alike[0] : undefined;
}

/**
 * Looks at a card's memory until the end: MiB in use by whomever, above what was in use before.
 *
 * @param {Card | undefined} card
 */
export async function watchMemory(card) {
  const none = {
    since: () => {},
    most: () => Promise.resolve(/** @type {number | undefined} */ (undefined)),
    stop: () => {},
  };
  if (!card) return none;
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '-i', card.id];
  const first = await run(TOOL, query).catch(() => undefined);
  if (!first || !/^\d+/.test(first.stdout)) return none; // some parts of cards tell nothing
  const before = Number.parseInt(first.stdout);
  let most = 0;
  const tool = spawn(TOOL, [...query, '-lms', String(EVERY)], { stdio: ['ignore', 'pipe', 'ignore'] });
  atEnd(() => Promise.resolve(tool.kill()));
  /** @type {(() => void)[]} */
  let waiting = [];
  createInterface({ input: tool.stdout }).on('line', (line) => {
    most = Math.max(most, Number.parseInt(line) || 0);
    for (const go of waiting) go();
    waiting = [];
  });
  return {
    /** Forgets what was seen. */
    since: () => void (most = 0),
    /** The most since then, one more look included: engines keep the most that they ever needed, or nearly. */
    async most() {
      const look = new Promise((resolve) => waiting.push(() => resolve(undefined)));
      await Promise.race([look, new Promise((resolve) => setTimeout(resolve, 10 * EVERY).unref())]);
      return most > 0 ? Math.max(0, most - before) : undefined;
    },
    stop: () => void tool.kill(),
  };
}
