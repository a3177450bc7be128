import { Config } from '@app/config';
import { Jobs, type JobRecord } from '@app/jobs';

/** Records in a Map, for unit specs of what reads and changes them. As with a real store, each call takes a turn. */
export class JobStoreStub {
  private readonly records = new Map<string, string>();

  put(job: JobRecord): void {
    this.records.set(job.id, JSON.stringify(job));
  }

  async find(id: string): Promise<JobRecord | undefined> {
    await turn();
    return this.get(id);
  }

  async update(
    id: string,
    change: (job: JobRecord) => JobRecord | undefined,
  ): Promise<JobRecord | undefined> {
    await turn();
    const job = this.get(id);
    const changed = job && change(job);
    if (changed) this.put(changed);
    return changed;
  }

  async webhooksDue(now: number): Promise<readonly string[]> {
    await turn();
    return [...this.records.keys()]
      .map((id) => ({ id, at: dueAt(this.get(id)!) }))
      .filter(({ at }) => at <= now)
      .sort((a, b) => a.at - b.at)
      .slice(0, 20)
      .map(({ id }) => id);
  }

  now(): Promise<number> {
    return Promise.resolve(Date.now());
  }

  /** The record now, without a turn. */
  get(id: string): JobRecord | undefined {
    const text = this.records.get(id);
    return text === undefined ? undefined : (JSON.parse(text) as JobRecord);
  }

  /** The real service over these records; it has nothing but them. */
  jobs(): Jobs {
    const parts = [new Config(), this] as unknown as ConstructorParameters<typeof Jobs>;
    return new Jobs(...parts);
  }
}

const dueAt = ({ webhook }: JobRecord): number =>
  Math.min(
    ...(webhook?.deliveries ?? [])
      .filter(({ status }) => status === 'pending')
      .map(({ nextAt }) => nextAt ?? 0),
  );

const turn = () => new Promise((resolve) => setImmediate(resolve));
