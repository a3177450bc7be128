import type { JobEvents } from '../job.events';
import type { JobLease } from '../job.queue';
import { isFinished, type JobRecord } from '../job.record';
import type { Jobs } from '../jobs.service';

/** A cancel comes as a message; should one get lost, the record is read this often, in milliseconds. */
const POLL_INTERVAL = 2_000;

/** Why a run ends without an outcome of its own. */
export type StopReason = 'shutdown' | 'lost' | 'over' | 'deadline' | 'elsewhere' | 'unready';

interface Tools {
  readonly jobs: Jobs;
  readonly events: JobEvents;
}

/** Whether a run goes on: it ends for the first reason that comes. */
export class RunStop {
  private readonly all = new AbortController();
  private readonly revocation = new AbortController();
  private readonly undo: (() => void)[] = [];

  constructor(
    private readonly tools: Tools,
    lease: JobLease,
    readonly shutdown: AbortSignal,
  ) {
    this.follow(shutdown, 'shutdown');
    this.follow(lease.lost, 'lost');
  }

  get signal(): AbortSignal {
    return this.all.signal;
  }

  /** As `signal`, but not for a shutdown: storing a picture that is drawn is shorter than drawing it again. */
  get revoked(): AbortSignal {
    return this.revocation.signal;
  }

  get reason(): StopReason | undefined {
    return this.signal.aborted ? (this.signal.reason as StopReason) : undefined;
  }

  end(reason: StopReason): void {
    this.all.abort(reason);
    if (reason !== 'shutdown') this.revocation.abort(reason);
  }

  /** From now on also when the job is cancelled, forgotten or too late. */
  async watch({ id, deadlineAt }: JobRecord): Promise<void> {
    const { jobs, events } = this.tools;
    const left = deadlineAt - (await jobs.now());
    const poll = async () => {
      const job = await jobs.find(id);
      if (!job || isFinished(job)) this.end('over');
    };
    const unsubscribe = await events.subscribe(id, (event) => {
      if (event.type === 'state' && isFinished(event)) this.end('over');
    });
    const again = setInterval(() => void poll().catch(() => {}), POLL_INTERVAL);
    const late = setTimeout(() => this.end('deadline'), Math.min(left, 2 ** 31 - 1));
    this.undo.push(
      unsubscribe,
      () => clearInterval(again),
      () => clearTimeout(late),
    );
  }

  /** Listens to nothing any more. */
  close(): void {
    for (const undo of this.undo.splice(0)) undo();
  }

  private follow(signal: AbortSignal, reason: StopReason): void {
    const end = () => this.end(reason);
    signal.addEventListener('abort', end);
    this.undo.push(() => signal.removeEventListener('abort', end));
    if (signal.aborted) end();
  }
}
