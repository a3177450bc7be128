/** How every benchmark begins and ends: exit codes, Ctrl-C, and nothing left behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @type {(() => Promise<unknown>)[]} */
const cleanups = [];
let ending = false;

/**
 * Runs a benchmark. Its number is the exit code: 0 target met, 1 missed, 2 cannot be measured here; a failure is 1.
 *
 * @param {() => Promise<number>} main
 */
export async function benchmark(main) {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      if (!ending) void cleanUp().finally(() => process.exit(130));
    });
  }
  try {
    process.exitCode = await main();
  } catch (error) {
    if (ending) return; // the service was taken away from under the benchmark
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
  if (!ending) await cleanUp();
}

/**
 * @param {() => Promise<unknown>} undo called at the end, the last one given first
 */
export function atEnd(undo) {
  cleanups.push(undo);
}

/** A folder that is gone at the end. */
export async function temporaryFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'bench-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function cleanUp() {
  ending = true;
  for (const undo of cleanups.toReversed()) await undo();
}

/**
 * A verdict as a line and as an exit code.
 *
 * @param {string} target
 * @param {boolean} met
 */
export function verdict(target, met) {
  console.log(`Target ${target}: ${met ? 'met' : 'MISSED'}`);
  return met ? 0 : 1;
}
