import { fairOrder } from '../fair.share';
import type { JobRecord } from '../job.record';
import { callerClassOf, type Backlog, type CallerClass, type JobPage, type JobQuery } from '../job.store';
import type { RedisConnection } from './redis.connection';
import { idOfWaiting, type RedisKeys } from './redis.keys';
import { readLines, type Waiting } from './redis.lines';

/** Records that a page of a list may look at: with a rare filter a page may hold fewer jobs than asked for. */
const MAX_LOOKED_AT = 2_000;
/** Records that are read at a time where a second filter drops some. */
const CHUNK = 200;

/** Milliseconds: a queue that is full is refused thousands of times. */
const REPAIR_INTERVAL = 10_000;

/**
 * Jobs by the sets that `RedisJobStore` keeps. Where a record is gone (evicted, deleted by hand) its id is taken out of the
 * set when it is read: it would be found for ever, count as a job, and keep others from being found.
 */
export class RedisJobIndex {
  private nextRepair = 0;

  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: RedisKeys,
  ) {}

  async page({ before, limit, ...filter }: JobQuery): Promise<JobPage> {
    const key = await this.narrowest(filter);
    const exact = Object.values(filter).filter((wanted) => wanted !== undefined).length <= 1;
    const chunk = exact ? limit + 1 : CHUNK;
    const jobs: JobRecord[] = [];
    let bound = before === undefined ? '+inf' : `(${before}`;
    for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT; lookedAt += chunk) {
      const ids = await this.redis.run('read', (client) =>
        client.zrevrangebyscore(key, bound, '-inf', 'WITHSCORES', 'LIMIT', 0, chunk),
      );
      const records = await this.findAll(
        key,
        ids.filter((_, index) => index % 2 === 0),
      );
      jobs.push(...records.filter((job) => matches(job, filter)));
      if (jobs.length > limit) return { jobs: jobs.slice(0, limit), next: jobs[limit - 1].place.seq };
      if (ids.length < 2 * chunk) return { jobs };
      bound = `(${ids.at(-1)}`;
    }
    return { jobs, next: Number(bound.slice(1)) };
  }

  /** At most `limit` ids of those scored up to `until`, lowest first. */
  async due(key: string, until: number | string, limit: number): Promise<string[]> {
    for (;;) {
      const ids = await this.redis.run('read', (client) =>
        client.zrangebyscore(key, '-inf', until, 'LIMIT', 0, limit),
      );
      const there = await this.repaired(key, ids);
      if (there.length > 0 || ids.length === 0) return there;
    }
  }

  /** All queued jobs in the fair order. */
  async waiting(): Promise<Waiting[]> {
    const { lines, virtualTime } = await this.redis.run('read', (client) => readLines(client, this.keys));
    return fairOrder(lines, virtualTime);
  }

  /** By their places, so that the records of no more than the oldest are read. */
  async backlog(): Promise<Backlog> {
    const waiting = await this.waiting();
    const of = async (caller: CallerClass) => {
      const jobs = waiting.filter(({ account }) => callerClassOf(account) === caller);
      const oldest = jobs.toSorted((a, b) => a.seq - b.seq).at(0);
      const json =
        oldest && (await this.redis.run('read', (client) => client.hget(this.keys.job(oldest.id), 'record')));
      return { queued: jobs.length, oldestAt: json ? parse(json).createdAt : undefined };
    };
    const [key, address] = await Promise.all([of('key'), of('address')]);
    return { key, address };
  }

  queued(): Promise<readonly string[]> {
    return this.all(this.keys.state('queued'));
  }

  running(): Promise<readonly string[]> {
    return this.all(this.keys.state('running'));
  }

  /** Of the sets whose sizes bound the queue, now and then: whoever is refused asks for it. False: not now. */
  async repair({ caller, account = '' }: Pick<JobRecord, 'caller' | 'account'>): Promise<boolean> {
    if (performance.now() < this.nextRepair) return false;
    this.nextRepair = performance.now() + REPAIR_INTERVAL;
    const { keys } = this;
    for (const key of [keys.state('queued'), keys.state('running'), keys.live(caller, account)])
      await this.all(key);
    await this.all(keys.waiting(account), idOfWaiting);
    return true;
  }

  private async all(key: string, idOf?: (member: string) => string): Promise<string[]> {
    const members = await this.redis.run('read', (client) => client.zrange(key, '0', '-1'));
    return this.repaired(key, members, idOf);
  }

  /** The members whose records are there. */
  private async repaired(
    key: string,
    members: string[],
    idOf = (member: string) => member,
  ): Promise<string[]> {
    const there = await this.redis.run('read', (client) =>
      Promise.all(members.map((member) => client.exists(this.keys.job(idOf(member))))),
    );
    await this.drop(
      key,
      members.filter((_, index) => there[index] === 0),
    );
    return members.filter((_, index) => there[index] === 1);
  }

  private async findAll(key: string, ids: readonly string[]): Promise<JobRecord[]> {
    const records = await this.redis.run('read', (client) =>
      Promise.all(ids.map((id) => client.hget(this.keys.job(id), 'record'))),
    );
    await this.drop(
      key,
      ids.filter((_, index) => records[index] === null),
    );
    return records.filter((json) => json !== null).map(parse);
  }

  private async drop(key: string, gone: readonly string[]): Promise<void> {
    if (gone.length > 0) await this.redis.run('write', (client) => client.zrem(key, ...gone));
  }

  /** The smallest of the sets that hold all jobs asked for. */
  private async narrowest({ userId, state, route }: Omit<JobQuery, 'limit'>): Promise<string> {
    const { keys } = this;
    const candidates = [keys.all];
    if (userId !== undefined) candidates.push(keys.user(userId));
    if (state !== undefined) candidates.push(keys.state(state));
    if (route !== undefined) candidates.push(keys.route(route));
    if (candidates.length <= 2) return candidates.at(-1)!;
    const sizes = await this.redis.run('read', (client) =>
      Promise.all(candidates.map((key) => client.zcard(key))),
    );
    return candidates[sizes.indexOf(Math.min(...sizes))];
  }
}

export const parse = (json: string): JobRecord => JSON.parse(json) as JobRecord;

const matches = (job: JobRecord, { userId, state, route }: Omit<JobQuery, 'limit'>): boolean =>
  (userId === undefined || job.picture.userId === userId) &&
  (state === undefined || job.state === state) &&
  (route === undefined || job.picture.route === route);
