import { fairOrder } from '../fair.share';
import type { RedisConnection } from './redis.connection';
import { modelOfWaiting, type RedisKeys } from './redis.keys';
import type { RedisLine } from './redis.line';
import { readLines } from './redis.lines';
import { runScript } from './redis.scripts';

/** Jobs that are put in order at a time: as many may be taken at once, by all processes together. */
const FRONT = 16;
/** Jobs of an account that are looked at: the front, and those that processes have fetched ahead. */
const LOOKED_AT = 64;
/** The same of all accounts. */
const MOST_ARRANGED = 256;

/**
 * BullMQ hands out what has the lowest score, and whose turn it is follows from what waits: so before a job is taken,
 * the next ones are put before all others.
 */
export class RedisTurns {
  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: RedisKeys,
  ) {}

  /** All of these lines together have one order. Resolves to them, the one with the very next job first. */
  async arrange(lines: readonly RedisLine[]): Promise<readonly RedisLine[]> {
    const { redis, keys } = this;
    const models = lines.map(({ model }) => model);
    const waiting = await redis.run('read', (client) => readLines(client, keys, LOOKED_AT, models));
    const jobs = fairOrder(waiting.lines, waiting.virtualTime).slice(0, MOST_ARRANGED);
    const places = new Map<RedisLine, number>();
    for (const line of lines) {
      const own = jobs.filter(({ member }) => modelOfWaiting(member) === line.model);
      if (own.length === 0) continue;
      const first = await redis.run('write', (client) =>
        runScript(
          client,
          'jobsArrange',
          [
            ...['prioritized', 'delayed', 'marker', ''].map((name) => line.queue.toKey(name)),
            keys.state('queued'),
          ],
          [
            FRONT,
            Date.now(),
            ...own.flatMap(({ id, account, member }) => [id, keys.waiting(account), member]),
          ],
        ),
      );
      const place = jobs.findIndex(({ id }) => id === first);
      if (place >= 0) places.set(line, place);
    }
    const placeOf = (line: RedisLine) => places.get(line) ?? Infinity;
    return lines.toSorted((a, b) => (placeOf(a) === placeOf(b) ? 0 : placeOf(a) - placeOf(b)));
  }
}
