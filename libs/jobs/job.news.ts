import type { Phase } from '@app/pipeline';
import type { JobRecord, WebhookDelivery } from './job.record';

/** What this process does for jobs, as it happens: for whoever counts, traces or logs it. Listeners must not throw. */
export interface JobNews {
  /** A job that it accepts, or whose state it changes. */
  change: [job: JobRecord];
  /** What came of an attempt to deliver a webhook. */
  attempt: [delivery: WebhookDelivery];
  /** Where an engine is with the picture of a job; told at each step. */
  phase: [id: string, phase: Phase];
  /** A picture is drawn once more, by the same run: in tiles, or by another engine. */
  redrawn: [how: 'in_tiles' | 'elsewhere'];
  /** The pixels are out, and are yet to be stored. */
  drawn: [id: string];
  /** Nothing of a job is done here any more. Its end may be written by another process, or be yet to come. */
  left: [id: string];
}
