/** The service from outside while something is done to it: how fast it says that it lives, and what it takes. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';

/** @typedef {import('./service.mjs').Service} Service */

/**
 * Milliseconds of GET /health/live, one after the other, and the most memory in megabytes, until `done`.
 *
 * @param {Service} service
 * @param {Promise<unknown>} done
 */
export async function observe(service, done) {
  const workerData = { url: service.url, interval: 20 };
  const probe = new Worker(new URL('./live.probe.mjs', import.meta.url), { workerData });
  let most = 0;
  const look = async () => void (most = Math.max(most, await residentMb(service.child.pid)));
  const timer = setInterval(() => void look(), 50);
  await done;
  clearInterval(timer);
  const answer = once(probe, 'message');
  probe.postMessage('end');
  const [latencies] = /** @type {[number[]]} */ (await answer);
  return { latencies, most };
}

/**
 * Memory of a process in megabytes. Rejects when it is gone.
 *
 * @param {number | undefined} pid
 * @param {'VmRSS' | 'VmHWM'} [what] now, or the most that it ever was
 */
export async function residentMb(pid, what = 'VmRSS') {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
}
