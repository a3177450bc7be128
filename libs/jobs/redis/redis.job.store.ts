import { setTimeout as sleep } from 'node:timers/promises';
import type { Change, JobDraft, JobRecord } from '../job.record';
import {
  type Acceptance,
  type Admission,
  type Backlog,
  JobStore,
  type JobPage,
  type JobQuery,
  type KeyHolder,
  DELETION_TTL,
  KEY_TTL,
  type QueuedJob,
} from '../job.store';
import { nextDeliveryAt } from '../webhook.outbox';
import { parse, RedisJobIndex } from './redis.job.index';
import { DEFAULT_PREFIX, type RedisConnection } from './redis.connection';
import { difference, RedisKeys, waitingTail } from './redis.keys';
import { runScript } from './redis.scripts';

interface Revision {
  readonly job: JobRecord;
  readonly rev: string;
}

/** What the queue reads of the records; it writes none. */
export type QueuedRecords = Pick<RedisJobStore, 'keys' | 'find' | 'queuedIds' | 'running'>;

/**
 * Records in Redis: a hash each, and sorted sets that list them. A change reads a record, and writes it and its sets by
 * a script that first compares the revision.
 */
export class RedisJobStore extends JobStore {
  readonly keys: RedisKeys;
  private readonly index: RedisJobIndex;

  constructor(
    private readonly redis: RedisConnection,
    prefix = DEFAULT_PREFIX,
  ) {
    super();
    this.keys = new RedisKeys(prefix);
    this.index = new RedisJobIndex(redis, this.keys);
  }

  async accept(draft: JobDraft, admission: Admission): Promise<Acceptance> {
    const acceptance = await this.admit(draft, admission);
    if (acceptance.outcome !== 'queue_full' && acceptance.outcome !== 'caller_full') return acceptance;
    return (await this.index.repair(draft)) ? this.admit(draft, admission) : acceptance;
  }

  private async admit(
    { cost, ...draft }: JobDraft,
    { limit, limitPerCaller }: Admission,
  ): Promise<Acceptance> {
    const { keys } = this;
    const { id, caller, account = '', idempotency } = draft;
    const [outcome, json] = await this.script<[string, string?]>(
      'write',
      'jobAccept',
      [
        ...[keys.job(id), keys.seq, keys.times(account), keys.idempotency(caller, idempotency?.key ?? '')],
        ...[keys.state('queued'), keys.state('running'), keys.live(caller, account), keys.waiting(account)],
        ...[keys.deadlines, keys.webhooks, keys.accounts, keys.deletion(draft.picture.userId ?? '')],
        ...keys.lists(draft),
      ],
      [
        ...[id, JSON.stringify(draft), cost, limit, limitPerCaller ?? '', draft.deadlineAt],
        idempotency ? 1 : 0,
        idempotency ? draft.createdAt + KEY_TTL - (await this.now()) : 0,
        ...[waitingTail(id, draft.picture, cost), keys.job(''), nextDeliveryAt(draft) ?? ''],
        ...[account, draft.createdAt],
      ],
    );
    if (json === undefined) return { outcome: outcome as 'queue_full' | 'caller_full' | 'user_deleted' };
    if (outcome === 'forgotten')
      return { outcome: json === idempotency?.fingerprint ? 'forgotten' : 'mismatch' };
    const job = parse(json);
    if (outcome === 'accepted') return { outcome, job };
    const same = job.idempotency?.fingerprint === idempotency?.fingerprint;
    return same ? { outcome: 'replayed', job } : { outcome: 'mismatch' };
  }

  async find(id: string): Promise<JobRecord | undefined> {
    return (await this.revision(id))?.job;
  }

  async findByKey(caller: string, key: string): Promise<KeyHolder | undefined> {
    const held = await this.redis.run('read', (client) => client.get(this.keys.idempotency(caller, key)));
    if (held === null) return undefined;
    const [id, forgotten] = held.split(':');
    if (forgotten) return { fingerprint: forgotten };
    const job = await this.find(id);
    return job?.idempotency && { fingerprint: job.idempotency.fingerprint, job };
  }

  async update(id: string, change: Change): Promise<JobRecord | undefined> {
    for (let attempt = 0; ; attempt++) {
      const old = await this.revision(id);
      const changed = old && change(old.job);
      if (!changed) return undefined;
      const json = JSON.stringify(changed);
      const job = parse(json);
      if (await this.replace(old, job, json)) return job;
      await this.pause(attempt);
    }
  }

  async remove(id: string, key: 'frees' | 'holds' = 'frees'): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const old = await this.revision(id);
      if (!old || (await this.replace(old, undefined, '', key))) return;
      await this.pause(attempt);
    }
  }

  list(query: JobQuery): Promise<JobPage> {
    return this.index.page(query);
  }

  queued(): Promise<readonly QueuedJob[]> {
    return this.index.waiting();
  }

  async hasRoom(account: string, limit: number): Promise<boolean> {
    const { keys } = this;
    const sets = [keys.state('queued'), keys.state('running'), keys.waiting(account)];
    return (await this.script('read', 'jobsRoom', sets, [account, keys.job(''), limit])) === 1;
  }

  async count(): Promise<{ readonly queued: number; readonly running: number }> {
    const { keys } = this;
    const [queued, running] = await this.redis.run('read', (client) =>
      Promise.all([client.zcard(keys.state('queued')), client.zcard(keys.state('running'))]),
    );
    return { queued, running };
  }

  backlog(): Promise<Backlog> {
    return this.index.backlog();
  }

  async overdue(now: number): Promise<readonly string[]> {
    return this.index.due(this.keys.deadlines, now, 100);
  }

  async webhooksDue(now: number): Promise<readonly string[]> {
    return this.index.due(this.keys.webhooks, now, 20);
  }

  async finishedBefore(time: number): Promise<readonly string[]> {
    return this.index.due(this.keys.finished, `(${time}`, 100);
  }

  async deleteUser(userId: string): Promise<number> {
    return Number(await this.script('write', 'userDelete', [this.keys.deletion(userId)], [DELETION_TTL]));
  }

  async userDeletedAt(userId: string): Promise<number | undefined> {
    const at = await this.redis.run('read', (client) => client.get(this.keys.deletion(userId)));
    return at === null ? undefined : Number(at);
  }

  /** Keys of jobs that were forgotten end by themselves. */
  purge(): Promise<void> {
    return Promise.resolve();
  }

  async now(): Promise<number> {
    const [seconds, micros] = await this.redis.run('read', (client) => client.time());
    return 1000 * Number(seconds) + Math.floor(Number(micros) / 1000);
  }

  async claim(round: string, ms: number): Promise<boolean> {
    const reply = await this.redis.run('write', (client) =>
      client.set(this.keys.round(round), '', 'PX', Math.ceil(ms), 'NX'),
    );
    return reply === 'OK';
  }

  /** Writes, because a server that only answers reads (a replica, a full memory) takes no jobs. */
  async check(): Promise<void> {
    await this.redis.run('write', (client) => client.set(`${this.keys.job('')}check`, '', 'PX', 1_000));
  }

  /** For the queue, which keeps BullMQ in step with them. */
  queuedIds(): Promise<readonly string[]> {
    return this.index.queued();
  }

  running(): Promise<readonly string[]> {
    return this.index.running();
  }

  private async revision(id: string): Promise<Revision | undefined> {
    const [json, rev] = await this.redis.run('read', (client) =>
      client.hmget(this.keys.job(id), 'record', 'rev'),
    );
    return json && rev ? { job: parse(json), rev } : undefined;
  }

  /** Resolves to false when another change came first. */
  private async replace(
    { job: old, rev }: Revision,
    job: JobRecord | undefined,
    json: string,
    key: 'frees' | 'holds' = 'frees',
  ): Promise<boolean> {
    const { keys } = this;
    const { account = '' } = old;
    const changes = difference(keys.entries(old), job ? keys.entries(job) : []);
    const begins = old.state === 'queued' && job?.state === 'running';
    const frees = old.idempotency && !job?.idempotency;
    const idempotencyKey = keys.idempotency(old.caller, old.idempotency?.key ?? '');
    const done = await this.script<0 | 1>(
      'write',
      'jobChange',
      [
        ...[keys.job(old.id), keys.virtualTime, idempotencyKey],
        ...[keys.times(account), keys.accounts, keys.waiting(account), keys.state('running')],
        ...changes.map(({ key }) => key),
      ],
      [
        rev,
        json,
        ...(begins ? [old.place.start, old.place.finish - old.place.start] : ['', '']),
        frees ? old.id : '',
        account,
        keys.job(''),
        key === 'holds' ? (old.idempotency?.fingerprint ?? '') : '',
        ...changes.flatMap(({ score, member }) => [score, member]),
      ],
    );
    return done === 1;
  }

  private async script<Reply>(action: 'read' | 'write', ...call: ScriptCall): Promise<Reply> {
    return (await this.redis.run(action, (client) => runScript(client, ...call))) as Reply;
  }

  /** Random, or writers that met once would meet again. */
  private pause(attempt: number): Promise<void> {
    return sleep(Math.random() * Math.min(2 ** attempt, 100));
  }
}

type ScriptCall = Parameters<typeof runScript> extends [unknown, ...infer Rest] ? Rest : never;
