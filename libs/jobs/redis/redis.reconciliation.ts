import type { Rescue } from '../job.queue';
import type { JobRecord } from '../job.record';
import type { RedisConnection } from './redis.connection';
import type { QueuedRecords } from './redis.job.store';
import { idOfWaiting, waitingMember } from './redis.keys';
import type { RedisLine } from './redis.line';

/** Jobs that are looked up at a time. */
const CHUNK = 200;

/**
 * Adds the queued jobs that BullMQ does not know (their process died between record and queue, or Redis came back with
 * older data), and reports running ones that it has forgotten. Harmless when several processes do it at once: a job
 * that is added twice is in the queue once.
 */
export async function reconcile(
  redis: RedisConnection,
  lines: readonly RedisLine[],
  records: QueuedRecords,
  add: (job: JobRecord) => Promise<void>,
  rescue: Rescue,
): Promise<void> {
  const unknown = async (ids: readonly string[]): Promise<Set<string>> => {
    let left = ids;
    for (const { queue } of lines) {
      const found = await redis.run('read', (client) =>
        Promise.all(left.map((id) => client.exists(queue.toKey(id)))),
      );
      left = left.filter((_, index) => found[index] === 0);
    }
    return new Set(left);
  };

  await adopt(redis, records);
  for (const ids of chunks(await records.queuedIds())) {
    for (const id of await unknown(ids)) {
      const job = await records.find(id);
      if (job?.state === 'queued') await add(job);
    }
  }
  for (const ids of chunks(await records.running())) {
    for (const id of await unknown(ids)) {
      const orphan = await records.find(id);
      // Another process may have rescued it already, and a third have begun it again.
      if (!orphan || (await unknown([id])).size === 0) continue;
      const job = await rescue(orphan);
      if (job?.state === 'queued') await add(job);
    }
  }
}

/** Queued jobs of processes that know no accounts get their places among those of none. */
async function adopt(redis: RedisConnection, records: QueuedRecords): Promise<void> {
  const { keys } = records;
  const { legacyWaiting, accounts } = keys;
  for (const member of await redis.run('read', (client) => client.zrange(legacyWaiting, '0', '-1'))) {
    const job = await records.find(idOfWaiting(member));
    await redis.run('write', async (client) => {
      if (job?.state === 'queued') {
        await client.zadd(keys.waiting(''), job.place.start, waitingMember(job));
        await client.sadd(accounts, '');
      }
      await client.zrem(legacyWaiting, member);
    });
  }
}

function* chunks<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let index = 0; index < items.length; index += CHUNK) yield items.slice(index, index + CHUNK);
}
