import type { JobRecord } from '../job.record';
import type { JobPage, JobQuery } from '../job.store';
import type { RedisConnection } from './redis.connection';
import type { RedisKeys } from './redis.keys';

/** Records that a page of a list may look at: with a rare filter a page may hold fewer jobs than asked for. */
const MAX_LOOKED_AT = 2_000;
/** Records that are read at a time where a second filter drops some. */
const CHUNK = 200;

/** Pages of records, the newest first, by the sets that `RedisJobStore` keeps. */
export class RedisJobLists {
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
      const records = await this.findAll(ids.filter((_, index) => index % 2 === 0));
      jobs.push(...records.filter((job) => matches(job, filter)));
      if (jobs.length > limit) return { jobs: jobs.slice(0, limit), next: jobs[limit - 1].place.seq };
      if (ids.length < 2 * chunk) return { jobs };
      bound = `(${ids.at(-1)}`;
    }
    return { jobs, next: Number(bound.slice(1)) };
  }

  private async findAll(ids: readonly string[]): Promise<JobRecord[]> {
    const records = await this.redis.run('read', (client) =>
      Promise.all(ids.map((id) => client.hget(this.keys.job(id), 'record'))),
    );
    return records.filter((json) => json !== null).map(parse);
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
