import { readdir, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** Tries again, until it succeeds or `patience` (milliseconds) is over: then the last failure is its own. */
export async function eventually<T>(attempt: () => T | Promise<T>, patience = 8_000): Promise<T> {
  for (const giveUpAt = performance.now() + patience; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await sleep(50);
    }
  }
}

/** Resolves once `condition` holds; rejects after as many seconds as a loaded machine may take. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Waited in vain until ${condition.toString()}`);
    await sleep(2);
  }
}

/** How many files whose path holds `part` this process has open. */
export async function openFiles(part: string): Promise<number> {
  const numbers = await readdir('/proc/self/fd');
  const paths = await Promise.all(numbers.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return paths.filter((path) => path.includes(part)).length;
}
