import type { Progress } from '@app/pipeline';
import type { JobState } from './job.record';

/** A small picture of how far the sampling is. */
export interface JobPreview {
  readonly step: number;
  /** Base64. */
  readonly jpeg: string;
  readonly width: number;
  readonly height: number;
}

export type JobEvent =
  /** `attempts` as in the record; distinguishes the second run from the first. */
  | { readonly type: 'state'; readonly state: JobState; readonly attempts?: number }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'preview'; readonly preview: JobPreview };

/** `id` grows within a job: milliseconds since 1970, a dash, a counter. Previews carry the id of the event before. */
export type StoredEvent = JobEvent & { readonly id: string };

/** States and progress that are kept of a job, the newest. */
export const KEPT_EVENTS = 200;
/** Milliseconds that the events of a job stay after its newest, should it never be finished or forgotten. */
export const KEPT_FOR = 2 * 24 * 3600 * 1000;

/**
 * What happens to a job, published to whoever watches, wherever they are. The records are the truth; events are their
 * news, and may be lost with a process or a connection: who must not miss a state reads the record as well.
 * Two drivers (memory, Redis) pass one contract suite (job.events.contract.ts). This class is also the injection token.
 */
export abstract class JobEvents {
  /** Never rejects: nobody's job fails for a lost event. */
  abstract publish(jobId: string, event: JobEvent): Promise<void>;

  /** Kept events, oldest first; with `after` only those after it (see `keptAfter`). Never previews. */
  abstract read(jobId: string, after?: string): Promise<readonly StoredEvent[]>;

  /** From now on; previews only when asked for. Resolves, once events arrive, to the function that ends it. */
  abstract subscribe(
    jobId: string,
    listener: (event: StoredEvent) => void,
    options?: { readonly previews?: boolean },
  ): Promise<() => void>;

  /** Whether anybody anywhere subscribes to the job's previews. */
  abstract previewsWanted(jobId: string): Promise<boolean>;

  /** Of a finished job only its states are kept, for at most `seconds`; what is published still is kept no more. */
  abstract finish(jobId: string, seconds: number): Promise<void>;

  abstract forget(jobId: string): Promise<void>;

  abstract close(): Promise<void>;
}

/**
 * The events after the one whose id is `after`, which may be kept no more. All when it is no id, or later than all of them:
 * then it is of other events.
 */
export function keptAfter(events: readonly StoredEvent[], after?: string): readonly StoredEvent[] {
  const newest = events.at(-1)?.id;
  if (after === undefined || newest === undefined || !/^\d+-\d+$/.test(after) || isAfter(after, newest)) {
    return events;
  }
  return events.slice(events.findLastIndex(({ id }) => !isAfter(id, after)) + 1);
}

/** Whether an event came after another of the same job. */
export function isAfter(id: string, other: string): boolean {
  const [time, count] = id.split('-').map(Number);
  const [otherTime, otherCount] = other.split('-').map(Number);
  return time > otherTime || (time === otherTime && count > otherCount);
}
