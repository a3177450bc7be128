import { isFinished, type JobRecord } from '../job.record';
import type { Work } from '../job.store';
import { nextDeliveryAt } from '../webhook.outbox';

/** Where a job stands in one sorted set. */
export interface Entry {
  readonly key: string;
  readonly score: number;
  readonly member: string;
}

/** What Redis holds for the records: the names of the keys. */
export class RedisKeys {
  constructor(private readonly prefix: string) {}

  /** Counts accepted jobs. */
  get seq() {
    return `${this.prefix}seq`;
  }
  get virtualTime() {
    return `${this.prefix}virtual-time`;
  }
  /** Every job. This set and those by state, user and route are scored by seq. */
  get all() {
    return `${this.prefix}jobs`;
  }
  /** Queued jobs in the fair order: scored by start, and among equals by their members, which begin with seq. */
  get waiting() {
    return `${this.prefix}waiting`;
  }
  /** Queued jobs by deadline. */
  get deadlines() {
    return `${this.prefix}deadlines`;
  }
  /** Jobs with a pending delivery by its time. */
  get webhooks() {
    return `${this.prefix}webhooks`;
  }
  /** Finished jobs by the time, once nobody is to be told of them any more. */
  get finished() {
    return `${this.prefix}finished`;
  }

  /** There while a process has a round of the maintenance. */
  round(name: string) {
    return `${this.prefix}round:${name}`;
  }

  /** A hash: `record` is the truth as JSON, `rev` counts its changes. */
  job(id: string) {
    return `${this.prefix}job:${id}`;
  }
  state(state: string) {
    return `${this.prefix}state:${state}`;
  }
  route(route: string) {
    return `${this.prefix}route:${route}`;
  }
  user(userId: string) {
    return `${this.prefix}user:${userId}`;
  }
  /** A caller's queued and running jobs by finish. */
  live(caller: string) {
    return `${this.prefix}live:${caller}`;
  }
  /** Holds the id of the job that an idempotency key belongs to. Callers may hold colons. */
  idempotency(caller: string, key: string) {
    return `${this.prefix}key:${encodeURIComponent(caller)}:${key}`;
  }

  /** The sets that list a job: what a change of its record changes in them is the difference. */
  entries(job: JobRecord): Entry[] {
    const { id, picture, place } = job;
    const listed = this.lists(job).map((key) => ({ key, score: place.seq, member: id }));
    const entries: Entry[] = [...listed, { key: this.state(job.state), score: place.seq, member: id }];
    if (!isFinished(job)) entries.push({ key: this.live(job.caller), score: place.finish, member: id });
    if (job.state === 'queued') {
      const member = waitingMember(place.seq, waitingTail(id, picture));
      entries.push({ key: this.waiting, score: place.start, member });
      entries.push({ key: this.deadlines, score: job.deadlineAt, member: id });
    }
    const delivery = nextDeliveryAt(job);
    if (delivery !== undefined) entries.push({ key: this.webhooks, score: delivery, member: id });
    else if (job.finishedAt !== undefined) {
      entries.push({ key: this.finished, score: job.finishedAt, member: id });
    }
    return entries;
  }

  /** The sets that list a job in every state. */
  lists({ picture }: Pick<JobRecord, 'picture'>): string[] {
    const user = picture.userId === undefined ? [] : [this.user(picture.userId)];
    return [this.all, this.route(picture.route), ...user];
  }
}

const SEQ_DIGITS = 16;

/** Carries what `ahead` sums up, so that it reads no records. */
export const waitingTail = (id: string, { width, height, steps, referenceKey }: JobRecord['picture']) =>
  [id, width, height, steps, referenceKey === undefined ? 0 : 1].join(':');

/** Padded: Redis orders members of one score by their bytes. The accepting script writes the same. */
export const waitingMember = (seq: number, tail: string) =>
  `${String(seq).padStart(SEQ_DIGITS, '0')}:${tail}`;

export const idOfWaiting = (member: string): string => member.split(':', 2)[1];

/** Members of `waiting`, summed up by size. */
export function sumWork(members: readonly string[]): Work[] {
  // Thousands of jobs are of a few kinds: only these are taken apart.
  const kinds = new Map<string, number>();
  for (const member of members) {
    const kind = member.slice(member.indexOf(':', SEQ_DIGITS + 1) + 1);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const sums = new Map<string, Work>();
  for (const [kind, jobs] of kinds) {
    const [width, height, steps, reference] = kind.split(':').map(Number);
    const size = `${width}:${height}:${reference}`;
    const sum = sums.get(size) ?? { width, height, reference: reference === 1, jobs: 0, steps: 0 };
    sums.set(size, { ...sum, jobs: sum.jobs + jobs, steps: sum.steps + jobs * steps });
  }
  return [...sums.values()];
}

/** What makes `after` of `before`; an empty score removes. */
export function difference(before: readonly Entry[], after: readonly Entry[]) {
  const same = (a: Entry, b: Entry) => a.key === b.key && a.member === b.member;
  const gone = before.filter((entry) => !after.some((other) => same(entry, other)));
  const changed = after.filter(
    (entry) => !before.some((other) => same(entry, other) && entry.score === other.score),
  );
  return [...gone.map(({ key, member }) => ({ key, member, score: '' })), ...changed];
}
