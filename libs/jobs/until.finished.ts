import type { JobEvents } from './job.events';
import { isFinished, type JobRecord } from './job.record';

/** A message can get lost, the record cannot: whoever waits reads it this often, in milliseconds. */
const POLL_INTERVAL = 5_000;

/** See Jobs.finished. */
export async function untilFinished(
  id: string,
  jobs: { get(id: string): Promise<JobRecord> },
  events: JobEvents,
  signal: AbortSignal,
  turningAway: AbortSignal,
): Promise<JobRecord> {
  let wake = (): void => {};
  const unsubscribe = await events.subscribe(id, (event) => {
    if (event.type === 'state') wake();
  });
  let stays = false;
  const leave = () => wake();
  for (const each of [signal, turningAway]) each.addEventListener('abort', leave);
  try {
    for (;;) {
      // Before the record is read, or a change in between would wake nobody.
      const news = new Promise<void>((resolve) => (wake = resolve));
      const job = await jobs.get(id);
      if (isFinished(job)) return job;
      signal.throwIfAborted();
      // One that runs may end in time, even where its engine dies and it is queued for a moment.
      if (turningAway.aborted && !stays && job.state === 'queued') throw turningAway.reason;
      stays = turningAway.aborted;
      const timer = setTimeout(() => wake(), POLL_INTERVAL);
      await news;
      clearTimeout(timer);
    }
  } finally {
    for (const each of [signal, turningAway]) each.removeEventListener('abort', leave);
    unsubscribe();
  }
}
