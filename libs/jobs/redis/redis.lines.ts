import type { Redis } from 'ioredis';
import type { Line, Place } from '../fair.share';
import type { QueuedJob } from '../job.store';
import { parseWaiting, type RedisKeys } from './redis.keys';
import { runScript } from './redis.scripts';

/** A queued job as its account's set of waiting ones knows it. */
export interface Waiting extends QueuedJob, Place {
  readonly account: string;
  readonly member: string;
}

type Reply = [virtualTime: string, ...accounts: [account: string, finish: string, scored: string[]][]];

/** Of every account the first `most` that wait and name one of `models`; undefined: all. */
export async function readLines(
  client: Redis,
  keys: RedisKeys,
  most?: number,
  models: readonly string[] = [],
): Promise<{ readonly lines: Line<Waiting>[]; readonly virtualTime: number }> {
  const names = [keys.virtualTime, keys.accounts, keys.waiting(''), keys.times('')];
  const reply = (await runScript(client, 'jobsWaiting', names, [
    most ?? 0,
    ...models.map(encodeURIComponent),
  ])) as Reply;
  const [virtualTime, ...accounts] = reply;
  const lines = accounts.map(([account, finish, scored]) => ({
    finish: Number(finish),
    jobs: Array.from({ length: scored.length / 2 }, (_, index) => {
      const [member, score] = [scored[2 * index], Number(scored[2 * index + 1])];
      return { account, member, ...parseWaiting(member, score) };
    }),
  }));
  return { lines, virtualTime: Number(virtualTime) };
}
