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

/** Records what came of an attempt: 2xx delivers, 410 Gone and the last attempt fail, all else is tried again. */
export const settle =
  (index: number, attempt: number, outcome: string, now: number, random = Math.random()): Change =>
  (job) => {
    const delivery = claimed(job, index, attempt);
    if (!delivery) return undefined;
    const over = { ...delivery, outcome, nextAt: undefined };
    if (/^2\d\d$/.test(outcome)) return replace(job, index, { ...over, status: 'delivered' });
    if (outcome === '410' || attempt >= MAX_DELIVERY_ATTEMPTS) {
      return replace(job, index, { ...over, status: 'failed' });
    }
    const delay = RETRY_DELAYS[attempt - 1] * (1 - JITTER + 2 * JITTER * random);
    return replace(job, index, { ...delivery, outcome, nextAt: now + Math.round(delay) });
  };

/** An attempt that the shutdown broke off does not count. */
export const release =
  (index: number, attempt: number, now: number): Change =>
  (job) => {
    const delivery = claimed(job, index, attempt);
    return delivery && replace(job, index, { ...delivery, attempts: attempt - 1, nextAt: now });
  };

const isDue = ({ status, nextAt = 0 }: WebhookDelivery, now: number): boolean =>
  status === 'pending' && nextAt <= now;

/** The attempt is the claim: when it ran out, another sender's raised the number. */
function claimed(job: JobRecord, index: number, attempt: number): WebhookDelivery | undefined {
  const delivery = job.webhook?.deliveries[index];
  return delivery?.status === 'pending' && delivery.attempts === attempt ? delivery : undefined;
}

function replace(job: JobRecord, index: number, delivery: WebhookDelivery): JobRecord {
  const webhook = job.webhook!;
  return { ...job, webhook: { ...webhook, deliveries: webhook.deliveries.with(index, delivery) } };
}
