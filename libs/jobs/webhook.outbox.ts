import type { Change, JobRecord, JobState, WebhookDelivery, WebhookEvent } from './job.record';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Waits between attempts, in milliseconds: about five hours, so a receiver survives a failed rollout. */
export const RETRY_DELAYS = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
] as const;
export const MAX_DELIVERY_ATTEMPTS = RETRY_DELAYS.length + 1;

/** A delivery for which there was no place comes again after this, or a part of its age: those that wait do not grow many. */
const PUT_OFF = 5 * SECOND;
const PART_OF_AGE = 1 / 8;
/** Given up, however few attempts there was a place for. */
const LONGEST_LIFE = 6 * HOUR;

/** Whoever claimed a delivery has this long to record its outcome; then it is anybody's again. */
const CLAIM = MINUTE;

/** Receivers that failed together do not come back together. */
const JITTER = 0.1;

const NEWS: Partial<Record<JobState, WebhookEvent>> = {
  running: 'job.running',
  succeeded: 'job.succeeded',
  failed: 'job.failed',
  expired: 'job.failed',
  cancelled: 'job.cancelled',
};

/** Notes the delivery that the job's new state calls for, in the same record: neither comes without the other. */
export function note(job: JobRecord, now: number): JobRecord {
  const event = NEWS[job.state];
  if (!job.webhook || !event || !job.webhook.events.includes(event)) return job;
  const delivery: WebhookDelivery = { event, at: now, attempts: 0, status: 'pending', nextAt: now };
  return { ...job, webhook: { ...job.webhook, deliveries: [...job.webhook.deliveries, delivery] } };
}

/** When the earliest pending delivery is due. */
export function nextDeliveryAt({ webhook }: Pick<JobRecord, 'webhook'>): number | undefined {
  const pending = webhook?.deliveries.filter(({ status }) => status === 'pending') ?? [];
  return pending.length > 0 ? Math.min(...pending.map(({ nextAt, at }) => nextAt ?? at)) : undefined;
}

/** Which of a job's deliveries are to be sent now, by their index. */
export const dueDeliveries = (job: JobRecord, now: number): number[] =>
  (job.webhook?.deliveries ?? []).flatMap((delivery, index) => (isDue(delivery, now) ? [index] : []));

/** Makes a due delivery this sender's; of several that try, one succeeds. */
export const claim =
  (index: number, now: number): Change =>
  (job) => {
    const delivery = job.webhook?.deliveries[index];
    if (!delivery || !isDue(delivery, now)) return undefined;
    return replace(job, index, { ...delivery, attempts: delivery.attempts + 1, nextAt: now + CLAIM });
  };

/** The answer in a few words; or no attempt was made, which does not count, and the next is made at once or later. */
export type Outcome = string | { readonly again: 'at once' | 'later' };

/** Records what came of an attempt: 2xx delivers, 410 Gone and the last attempt fail, all else is tried again. */
export const settle =
  (index: number, attempt: number, outcome: Outcome, now: number, random = Math.random()): Change =>
  (job) => {
    const delivery = job.webhook?.deliveries[index];
    // The attempt is the claim: when it ran out, another sender's raised the number.
    if (delivery?.status !== 'pending' || delivery.attempts !== attempt) return undefined;
    return replace(job, index, {
      ...delivery,
      ...(typeof outcome === 'string'
        ? answered(attempt, outcome, now, random)
        : untried(delivery, outcome.again, now, random)),
    });
  };

function answered(attempt: number, outcome: string, now: number, random: number): Partial<WebhookDelivery> {
  if (/^2\d\d$/.test(outcome)) return { outcome, status: 'delivered', nextAt: undefined };
  if (outcome === '410' || attempt >= MAX_DELIVERY_ATTEMPTS) {
    return { outcome, status: 'failed', nextAt: undefined };
  }
  return { outcome, nextAt: after(RETRY_DELAYS[attempt - 1], now, random) };
}

function untried(
  { at, attempts, outcome = 'not sent' }: WebhookDelivery,
  again: 'at once' | 'later',
  now: number,
  random: number,
): Partial<WebhookDelivery> {
  const made = { attempts: attempts - 1 };
  if (again === 'at once') return { ...made, nextAt: now };
  if (now - at >= LONGEST_LIFE) return { ...made, outcome, status: 'failed', nextAt: undefined };
  return { ...made, nextAt: after(Math.max(PUT_OFF, PART_OF_AGE * (now - at)), now, random) };
}

const after = (delay: number, now: number, random: number): number =>
  now + Math.round(delay * (1 - JITTER + 2 * JITTER * random));

const isDue = ({ status, nextAt = 0 }: WebhookDelivery, now: number): boolean =>
  status === 'pending' && nextAt <= now;

function replace(job: JobRecord, index: number, delivery: WebhookDelivery): JobRecord {
  const webhook = job.webhook!;
  return { ...job, webhook: { ...webhook, deliveries: webhook.deliveries.with(index, delivery) } };
}
