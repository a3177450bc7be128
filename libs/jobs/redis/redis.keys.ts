import { isFinished, type JobRecord } from '../job.record';
import type { Place } from '../fair.share';
import { UNNAMED } from '../job.queue';
import type { QueuedJob } from '../job.store';
import { workOf } from '../picture.job';
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
  /** Accounts with queued or running jobs. */
  get accounts() {
    return `${this.prefix}accounts`;
  }
  /** Where 0.2 keeps all queued jobs. */
  get legacyWaiting() {
    return `${this.prefix}waiting`;
  }
  /** Models that jobs ever named. */
  get models() {
    return `${this.prefix}models`;
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

  /** A hash: `record` is the truth as JSON, `rev` counts its changes, `account` repeats the record's. */
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
  /** When the user was deleted, for a while. */
  deletion(userId: string) {
    return `${this.prefix}deleted:${userId}`;
  }
  /** An account's queued jobs by their places: scored by start, and among equals by their members, which begin with seq. */
  waiting(account: string) {
    return `${this.prefix}waiting:${account}`;
  }
  /** A hash: `virtual` is the account's virtual time, `finish` where its newest turn ends in the virtual time of all. */
  times(account: string) {
    return `${this.prefix}times:${account}`;
  }
  /** A caller's queued and running jobs by finish. */
  live(caller: string, account = '') {
    return `${this.prefix}live:${account && `${encodeURIComponent(account)}:`}${caller}`;
  }
  /** Holds the id of the job that an idempotency key belongs to; once that is forgotten, also a colon and the fingerprint. */
  idempotency(caller: string, key: string) {
    return `${this.prefix}key:${encodeURIComponent(caller)}:${key}`;
  }

  /** The sets that list a job: what a change of its record changes in them is the difference. */
  entries(job: JobRecord): Entry[] {
    const { id, place } = job;
    const listed = this.lists(job).map((key) => ({ key, score: place.seq, member: id }));
    const entries: Entry[] = [...listed, { key: this.state(job.state), score: place.seq, member: id }];
    if (!isFinished(job))
      entries.push({ key: this.live(job.caller, job.account), score: place.finish, member: id });
    if (job.state === 'queued') {
      const member = waitingMember(job);
      entries.push({ key: this.waiting(job.account ?? ''), score: place.start, member });
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

/** Carries all that is asked of queued jobs together, so that no records are read for it. */
export function waitingTail(id: string, picture: JobRecord['picture'], cost: number): string {
  const { width, height, steps, count, reference } = workOf(picture);
  const tail = [id, width, height, steps, reference ? 1 : 0, cost];
  if (picture.model !== undefined) tail.push(count, encodeURIComponent(picture.model));
  // As older processes write it, too.
  else if (count > 1) tail.push(count);
  return tail.join(':');
}

/** Padded: Redis orders members of one score by their bytes. The accepting script writes the same. */
export const waitingMember = ({ id, picture, place: { seq, start, finish } }: JobRecord) =>
  `${String(seq).padStart(SEQ_DIGITS, '0')}:${waitingTail(id, picture, finish - start)}`;

export const idOfWaiting = (member: string): string => member.split(':', 2)[1];

export const modelOfWaiting = (member: string): string => decodeURIComponent(member.split(':')[8] ?? UNNAMED);

export function parseWaiting(member: string, start: number): QueuedJob & Place {
  const [seq, id, ...numbers] = member.split(':');
  const [width, height, steps, reference, cost, count = 1] = numbers.map(Number);
  const place = { seq: Number(seq), start, finish: start + cost };
  return { id, width, height, steps, count, reference: reference === 1, ...place };
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
