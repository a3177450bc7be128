import { draft } from '../../test/support/jobs';
import type { JobRecord, Webhook } from './job.record';
import { KEY_TTL, type JobQuery, type JobStore } from './job.store';
import * as transitions from './job.transitions';

export interface OpenedStore {
  readonly store: JobStore;
  readonly close: () => Promise<void>;
}

type Overrides = Parameters<typeof draft>[0];

const ROOMY = { limit: 100_000 };
const mark = (key: string, fingerprint = 'same') => ({ idempotency: { key, fingerprint } });
const places = (jobs: readonly JobRecord[]) => jobs.map(({ place: { start, finish } }) => [start, finish]);

/** What every store does. `open` hands over an empty one for each test. */
export function storeContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`${name} keeps the contract of JobStore`, () => {
    let opened: OpenedStore;
    let store: JobStore;

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());

    const accept = async (overrides: Overrides = {}): Promise<JobRecord> => {
      const acceptance = await store.accept(draft(overrides), ROOMY);
      if (acceptance.outcome !== 'accepted') throw new Error(acceptance.outcome);
      return acceptance.job;
    };
    const acceptAll = async (count: number, overrides: Overrides = {}) => {
      const jobs: JobRecord[] = [];
      while (jobs.length < count) jobs.push(await accept(overrides));
      return jobs;
    };
    const run = async ({ id }: JobRecord) => (await store.update(id, transitions.start(Date.now())))!;
    const cancel = async ({ id }: JobRecord, now = Date.now()) =>
      (await store.update(id, transitions.cancel('Cancelled', now)))!;
    const ids = (jobs: readonly { readonly id: string }[]) => jobs.map(({ id }) => id);
    const listed = async (query: Omit<JobQuery, 'limit'> = {}) =>
      ids((await store.list({ limit: 100, ...query })).jobs);

    describe('accept', () => {
      it('should keep the whole job, with fields that it does not know', async () => {
        const newer = {
          ...draft({ ...mark('a'), picture: { userId: 'bob' } }),
          mood: { is: ['sunny', null] },
        };
        const { cost, ...known } = newer;
        const { job } = (await store.accept(newer, ROOMY)) as { job: JobRecord };
        expect(job).toEqual({ ...known, place: { seq: job.place.seq, start: 0, finish: cost } });
        expect(await store.find(job.id)).toEqual(job);
        const started = await run(job);
        expect(started).toMatchObject({ state: 'running', mood: { is: ['sunny', null] } });
        expect(await store.find(job.id)).toEqual(started);
      });

      it('should know nothing of other jobs', async () => {
        expect(await store.find('f'.repeat(24))).toBeUndefined();
        expect(await store.findByKey('alice', 'a')).toBeUndefined();
        await expect(store.remove('f'.repeat(24))).resolves.toBeUndefined();
      });

      it('should answer a known key with its job, whatever came of it', async () => {
        const job = await accept(mark('a'));
        const again = () => store.accept(draft(mark('a')), ROOMY);
        expect(await again()).toEqual({ outcome: 'replayed', job });
        const running = await run(job);
        expect(await again()).toEqual({ outcome: 'replayed', job: running });
        expect(await store.findByKey('alice', 'a')).toEqual({ fingerprint: 'same', job: running });
        expect(await store.count()).toEqual({ queued: 0, running: 1 });
      });

      it('should refuse a key with another request, and leave keys of other callers alone', async () => {
        const job = await accept(mark('a'));
        expect(await store.accept(draft(mark('a', 'other')), ROOMY)).toEqual({ outcome: 'mismatch' });
        await accept({ caller: 'bob', ...mark('a', 'other') });
        expect((await store.findByKey('alice', 'a'))!.job!.id).toBe(job.id);
      });

      it('should accept one of fifty requests with one key', async () => {
        const answers = await Promise.all(
          Array.from({ length: 50 }, () => store.accept(draft(mark('a')), { limit: 1, limitPerCaller: 1 })),
        );
        const accepted = answers.filter(({ outcome }) => outcome === 'accepted');
        expect(accepted).toHaveLength(1);
        const { job } = accepted[0] as { job: JobRecord };
        expect(answers.filter(({ outcome }) => outcome === 'replayed')).toHaveLength(49);
        for (const answer of answers) expect(answer).toMatchObject({ job: { id: job.id } });
        expect(await store.count()).toEqual({ queued: 1, running: 0 });
      });

      it('should bound the jobs that are not finished', async () => {
        const first = await accept();
        const second = await accept({ caller: 'bob' });
        await run(first);
        const admit = (overrides: Overrides = {}) => store.accept(draft(overrides), { limit: 2 });
        expect(await admit({ caller: 'eve' })).toEqual({ outcome: 'queue_full' });
        await cancel(second);
        expect(await admit({ caller: 'eve' })).toMatchObject({ outcome: 'accepted' });
        expect(await admit()).toEqual({ outcome: 'queue_full' });
        expect(await store.list({ limit: 10 })).toMatchObject({ jobs: { length: 3 } });
      });

      it('should bound the jobs of an account by what others leave of the queue', async () => {
        const admit = (account: string) => store.accept(draft({ account, caller: account }), { limit: 4 });
        const first = await accept({ account: 'key:a', caller: 'user1' });
        for (let n = 2; n <= 4; n++) await accept({ account: 'key:a', caller: `user${n}` });
        await run(first);
        expect(await store.hasRoom('key:a', 4)).toBe(false);
        expect(await admit('key:a')).toEqual({ outcome: 'queue_full' });
        for (const account of ['key:b', 'key:b', 'key:c']) {
          expect(await store.hasRoom(account, 4)).toBe(true);
          expect(await admit(account)).toMatchObject({ outcome: 'accepted' });
        }
        for (const account of ['key:b', 'key:c']) expect(await store.hasRoom(account, 4)).toBe(false);
        expect(await admit('key:d')).toMatchObject({ outcome: 'accepted' });
        expect(await admit('key:e')).toEqual({ outcome: 'queue_full' });
        await cancel(first);
        expect(await admit('key:a')).toEqual({ outcome: 'queue_full' });
        expect(await admit('key:e')).toMatchObject({ outcome: 'accepted' });
      });

      it('should bound the same caller in each account by itself', async () => {
        const admit = (account: string) => store.accept(draft({ account }), { limit: 10, limitPerCaller: 1 });
        expect(await admit('key:a')).toMatchObject({ outcome: 'accepted' });
        expect(await admit('key:a')).toEqual({ outcome: 'caller_full' });
        expect(await admit('key:b')).toMatchObject({ outcome: 'accepted' });
      });

      it('should bound the jobs of one caller', async () => {
        const [first] = await acceptAll(2);
        const admit = (caller: string) => store.accept(draft({ caller }), { limit: 10, limitPerCaller: 2 });
        await run(first);
        expect(await admit('alice')).toEqual({ outcome: 'caller_full' });
        expect(await admit('bob')).toMatchObject({ outcome: 'accepted' });
        await cancel(first);
        expect(await admit('alice')).toMatchObject({ outcome: 'accepted' });
      });

      it('should look at the key before the limits, and not keep the key of a refused job', async () => {
        const job = await accept(mark('a'));
        const full = { limit: 1, limitPerCaller: 1 };
        expect(await store.accept(draft(mark('a')), full)).toMatchObject({ outcome: 'replayed' });
        expect(await store.accept(draft(mark('a', 'other')), full)).toEqual({ outcome: 'mismatch' });
        expect(await store.accept(draft(mark('b')), full)).toEqual({ outcome: 'queue_full' });
        await cancel(job);
        expect(await store.accept(draft(mark('b', 'other')), full)).toMatchObject({ outcome: 'accepted' });
      });
    });

    describe('backlog', () => {
      it('should tell how many wait of each class of callers, and since when the first of them', async () => {
        const none = { queued: 0, oldestAt: undefined };
        const found = async () => {
          const { key, address } = await store.backlog();
          return { key: { ...none, ...key }, address: { ...none, ...address } };
        };
        expect(await found()).toEqual({ key: none, address: none });
        const at = Date.now() - 10_000;
        const first = await accept({ account: 'key:a', createdAt: at, cost: 9 });
        await accept({ account: 'key:a', createdAt: at + 1 });
        // Its turn comes before, but it is younger.
        await accept({ account: 'key:b', createdAt: at + 2 });
        expect(await found()).toEqual({ key: { queued: 3, oldestAt: at }, address: none });
        await accept({ account: 'address:::1', createdAt: at + 3 });
        await run(first);
        expect(await found()).toEqual({
          key: { queued: 2, oldestAt: at + 1 },
          address: { queued: 1, oldestAt: at + 3 },
        });
      });
    });

    describe('deleteUser', () => {
      const of = (userId: string, createdAt: number) =>
        store.accept(draft({ createdAt, picture: { userId } }), ROOMY);

      it('should refuse what was begun for the user until then, and nothing else', async () => {
        expect(await store.userDeletedAt('bob')).toBeUndefined();
        const at = await store.deleteUser('bob');
        expect(Math.abs(at - (await store.now()))).toBeLessThan(60_000);
        expect(await store.userDeletedAt('bob')).toBe(at);
        for (const before of [at - 1, at])
          expect(await of('bob', before)).toEqual({ outcome: 'user_deleted' });
        expect(await of('bob', at + 1)).toMatchObject({ outcome: 'accepted' });
        expect(await of('bobby', at)).toMatchObject({ outcome: 'accepted' });
        expect(await accept({ createdAt: at })).toMatchObject({ state: 'queued' });
        expect(await listed({ userId: 'bob' })).toHaveLength(1);
        expect(await store.deleteUser('bob')).toBeGreaterThanOrEqual(at);
      });

      it('should not keep the key of what it refuses', async () => {
        const at = await store.deleteUser('bob');
        const refused = draft({ ...mark('a'), createdAt: at, picture: { userId: 'bob' } });
        expect(await store.accept(refused, ROOMY)).toEqual({ outcome: 'user_deleted' });
        expect(await store.findByKey('alice', 'a')).toBeUndefined();
      });
    });

    describe('keys', () => {
      it('should be free once they are too old, and then belong to the new job', async () => {
        const old = await accept({ ...mark('a'), createdAt: Date.now() - KEY_TTL - 1000 });
        expect(await store.findByKey('alice', 'a')).toBeUndefined();
        const job = await accept(mark('a', 'other'));
        await store.remove(old.id);
        expect((await store.findByKey('alice', 'a'))!.job!.id).toBe(job.id);
      });

      it('should hold for nearly their time', async () => {
        const job = await accept({ ...mark('a'), createdAt: Date.now() - KEY_TTL + 60_000 });
        expect((await store.findByKey('alice', 'a'))!.job!.id).toBe(job.id);
      });

      it('should go with a removed job', async () => {
        const job = await accept(mark('a'));
        await store.remove(job.id);
        expect(await store.findByKey('alice', 'a')).toBeUndefined();
        await accept(mark('a', 'other'));
      });

      it('should hold for their time when the job is forgotten, also against other requests', async () => {
        const job = await accept(mark('a'));
        await cancel(await accept({ caller: 'bob', ...mark('a') }));
        await store.remove(job.id, 'holds');
        expect(await store.find(job.id)).toBeUndefined();
        expect(await store.findByKey('alice', 'a')).toEqual({ fingerprint: 'same' });
        expect(await store.accept(draft(mark('a')), ROOMY)).toEqual({ outcome: 'forgotten' });
        expect(await store.accept(draft(mark('a', 'other')), ROOMY)).toEqual({ outcome: 'mismatch' });
        await accept({ caller: 'bob', ...mark('a', 'other') });
      });

      it('should hold for no longer than their time when the job is forgotten', async () => {
        const old = await accept({ ...mark('a'), createdAt: Date.now() - KEY_TTL - 1000 });
        await store.remove(old.id, 'holds');
        expect(await store.findByKey('alice', 'a')).toBeUndefined();
        await accept(mark('a', 'other'));
      });

      it('should be free when a record gives them up: after that the next request is a new job', async () => {
        const job = await accept(mark('a'));
        const cancelled = await cancel(job);
        expect(cancelled.idempotency).toBeUndefined();
        expect(await store.findByKey('alice', 'a')).toBeUndefined();
        const next = await accept(mark('a', 'other'));
        await store.update(job.id, (record) => ({ ...record, crashes: 1 }));
        expect((await store.findByKey('alice', 'a'))!.job!.id).toBe(next.id);
      });
    });

    describe('places', () => {
      const order = (jobs: readonly JobRecord[]) =>
        ids(jobs.toSorted((a, b) => a.place.start - b.place.start || a.place.seq - b.place.seq));

      it("should put a caller's jobs one behind the other, by their cost", async () => {
        const jobs = [await accept({ cost: 5 }), await accept({ cost: 2 }), await accept({ cost: 40 })];
        expect(places(jobs)).toEqual([
          [0, 5],
          [5, 7],
          [7, 47],
        ]);
        const [a, b, c] = jobs.map(({ place }) => place.seq);
        expect(a < b && b < c).toBe(true);
      });

      it('should put a single job before all but the first of a hundred', async () => {
        const many = await acceptAll(100, { cost: 30 });
        const single = await accept({ caller: 'bob', cost: 30 });
        expect(order([...many, single]).slice(0, 3)).toEqual([many[0].id, single.id, many[1].id]);
      });

      it('should put a single job next after one that runs', async () => {
        const many = await acceptAll(100, { cost: 30 });
        await run(many[0]);
        await run(many[1]);
        const single = await accept({ caller: 'bob', cost: 30 });
        expect(single.place.start).toBe(30);
        expect(order([...many.slice(2), single])[0]).toBe(single.id);
      });

      it('should let a caller begin at the virtual time when all its jobs are done', async () => {
        const [own] = await acceptAll(1, { cost: 500 });
        const others = await acceptAll(3, { caller: 'bob', cost: 10 });
        for (const job of others) await run(job);
        expect(places([await accept({ caller: 'eve' })])).toEqual([[20, 21]]);
        await cancel(own);
        expect(places([await accept()])).toEqual([[20, 21]]);
      });

      it('should never turn the virtual time back', async () => {
        const [first, second] = await acceptAll(2, { cost: 10 });
        await run(second);
        await run(first);
        await store.update(second.id, transitions.giveBack(1, Date.now()));
        const third = await accept({ caller: 'bob' });
        for (const job of [first, second]) await store.remove(job.id);
        expect(places([third, await accept({ caller: 'eve' })])).toEqual([
          [10, 11],
          [10, 11],
        ]);
      });

      it('should keep the place of a job that is given back', async () => {
        const job = await accept();
        await run(job);
        const back = await store.update(job.id, transitions.giveBack(1, Date.now()));
        expect(back).toMatchObject({ state: 'queued', place: job.place });
      });

      it('should not give a removed number again', async () => {
        const job = await accept();
        await store.remove(job.id);
        expect((await accept()).place.seq).toBeGreaterThan(job.place.seq);
      });
    });

    describe('update', () => {
      it('should leave the record alone when the change declines, or when there is none', async () => {
        const job = await accept();
        expect(await store.update(job.id, () => undefined)).toBeUndefined();
        expect(await store.find(job.id)).toEqual(job);
        const change = jest.fn();
        expect(await store.update('f'.repeat(24), change)).toBeUndefined();
        expect(change).not.toHaveBeenCalled();
      });

      it('should reject with what the change throws, and leave the record alone', async () => {
        const job = await accept();
        const change = () => {
          throw new Error('no');
        };
        await expect(store.update(job.id, change)).rejects.toThrow('no');
        expect(await store.find(job.id)).toEqual(job);
      });

      it('should lose no change of many at once', async () => {
        const { id } = await accept();
        const count = () => store.update(id, (job) => ({ ...job, crashes: job.crashes + 1 }));
        await Promise.all(Array.from({ length: 40 }, count));
        expect((await store.find(id))!.crashes).toBe(40);
      });

      it('should let one of several starts win', async () => {
        const job = await accept();
        const started = await Promise.all(Array.from({ length: 8 }, () => run(job)));
        expect(started.filter(Boolean)).toHaveLength(1);
        expect((await store.find(job.id))!.attempts).toBe(1);
      });
    });

    describe('list', () => {
      const MIXED: Overrides[] = [
        { picture: { userId: 'bob', route: 'memory' } },
        { picture: { userId: 'bob', route: 'subject' } },
        { picture: { userId: 'eve', route: 'memory' } },
        { picture: { route: 'generations' } },
        { picture: { userId: 'bob', route: 'memory' } },
      ];

      it.each([
        ['one direction', MIXED],
        ['the other direction', MIXED.toReversed()],
      ])('should filter, newest first, written in %s', async (_direction, overrides) => {
        const jobs: JobRecord[] = [];
        for (const each of overrides) jobs.push(await accept(each));
        await run(jobs[0]);
        await cancel(jobs[1]);
        const records = await Promise.all(jobs.map(async ({ id }) => (await store.find(id))!));
        const queries: Omit<JobQuery, 'limit'>[] = [
          {},
          { userId: 'bob' },
          { userId: 'nobody' },
          { state: 'queued' },
          { state: 'cancelled' },
          { route: 'memory' },
          { userId: 'bob', route: 'memory' },
          { userId: 'bob', state: 'running' },
          { state: 'queued', route: 'memory' },
          { userId: 'bob', state: 'queued', route: 'memory' },
        ];
        for (const query of queries) {
          const { userId, state, route } = query;
          const expected = records.filter(
            (job) =>
              (userId === undefined || job.picture.userId === userId) &&
              (state === undefined || job.state === state) &&
              (route === undefined || job.picture.route === route),
          );
          expect((await store.list({ limit: 100, ...query })).jobs).toEqual(expected.toReversed());
        }
      });

      it('should come in pages that hold every job once, while others arrive', async () => {
        const jobs = await acceptAll(7, { picture: { userId: 'bob' } });
        await acceptAll(3, { picture: { userId: 'eve' } });
        const seen: string[] = [];
        let before: number | undefined;
        do {
          const page = await store.list({ userId: 'bob', limit: 3, before });
          expect(page.jobs.length).toBeLessThanOrEqual(3);
          seen.push(...ids(page.jobs));
          before = page.next;
          await accept({ picture: { userId: 'bob' } });
        } while (before !== undefined);
        expect(seen).toEqual(ids(jobs).toReversed());
      });

      it('should have no next page when the last is just full', async () => {
        await acceptAll(4);
        expect((await store.list({ limit: 4 })).next).toBeUndefined();
        expect((await store.list({ limit: 3 })).next).toBeDefined();
        expect(await store.list({ limit: 3, before: 0 })).toEqual({ jobs: [] });
      });
    });

    describe('queued and count', () => {
      const next = async () => ids(await store.queued());

      it('should list what waits in the fair order, with what its duration depends on', async () => {
        const small = { width: 64, height: 128, steps: 10 };
        const [running, first, second] = [
          await accept({ cost: 10 }),
          await accept({ cost: 10, picture: small }),
          await accept({ cost: 10, picture: { ...small, referenceKey: 'inputs/1' } }),
        ];
        await run(running);
        const other = await accept({ caller: 'bob', cost: 1, picture: { count: 3 } });
        expect(await store.queued()).toMatchObject([
          { id: other.id, width: 1024, height: 1024, steps: 90, count: 3, reference: false },
          { id: first.id, ...small, count: 1, reference: false },
          { id: second.id, ...small, count: 1, reference: true },
        ]);
        for (const job of [other, first]) await cancel(job);
        expect(ids(await store.queued())).toEqual([second.id]);
      });

      it('should give each account its turn, however many callers another names', async () => {
        const many: JobRecord[] = [];
        for (let n = 0; n < 20; n++)
          many.push(await accept({ account: 'key:busy', caller: `user${n}`, cost: 30 }));
        await run(many[0]);
        const quiet = await acceptAll(2, { account: 'key:quiet', caller: 'user1', cost: 30 });
        expect(await next()).toEqual([quiet[0], many[1], quiet[1], ...many.slice(2)].map(({ id }) => id));
      });

      it('should give the callers of an account their turns within its own', async () => {
        const many = await acceptAll(3, { account: 'key:shop', caller: 'ann', cost: 10 });
        const other = await acceptAll(3, { account: 'key:other', cost: 10 });
        await run(many[0]);
        await run(other[0]);
        const late = await accept({ account: 'key:shop', caller: 'ben', cost: 10 });
        expect(await next()).toEqual([other[1], late, many[1], other[2], many[2]].map(({ id }) => id));
      });

      it('should charge an account what its turns cost', async () => {
        const large = await acceptAll(2, { account: 'key:large', cost: 30 });
        const small = await acceptAll(4, { account: 'key:small', cost: 10 });
        await run(large[0]);
        await run(small[0]);
        expect(await next()).toEqual([small[1], small[2], large[1], small[3]].map(({ id }) => id));
      });

      it('should give an account no turns for the time that it was away', async () => {
        const early = await accept({ account: 'key:early', cost: 10 });
        await run(early);
        await cancel(early);
        const busy = await acceptAll(5, { account: 'key:busy', cost: 10 });
        for (const job of busy.slice(0, 3)) await run(job);
        const back = await acceptAll(2, { account: 'key:early', cost: 10 });
        expect(await next()).toEqual([back[0], busy[3], back[1], busy[4]].map(({ id }) => id));
      });

      it('should count jobs that wait and jobs that run', async () => {
        expect(await store.count()).toEqual({ queued: 0, running: 0 });
        const [first, second, third] = await acceptAll(5);
        await run(first);
        await run(second);
        expect(await store.count()).toEqual({ queued: 3, running: 2 });
        await store.update(second.id, transitions.giveBack(1, Date.now()));
        await cancel(first);
        await store.remove(third.id);
        expect(await store.count()).toEqual({ queued: 3, running: 0 });
        expect(ids((await store.list({ limit: 10, state: 'queued' })).jobs)).not.toContain(third.id);
      });
    });

    describe('what is due', () => {
      const now = Date.now();

      it('should find queued jobs whose deadline is over', async () => {
        const [over, running] = await acceptAll(2, { deadlineAt: now - 1 });
        await store.update(running.id, (job) => ({ ...job, state: 'running' }));
        await accept({ deadlineAt: now + 60_000 });
        expect(await store.overdue(now)).toEqual([over.id]);
        await store.update(over.id, transitions.expire(now));
        expect(await store.overdue(now)).toEqual([]);
      });

      it('should name at most a hundred of them', async () => {
        await acceptAll(101, { deadlineAt: now - 1 });
        expect(new Set(await store.overdue(now)).size).toBe(100);
      });

      const webhook = (...nextAt: (number | undefined)[]): { webhook: Webhook } => ({
        webhook: {
          url: 'https://example.com/hook',
          events: ['job.running', 'job.cancelled'],
          deliveries: nextAt.map((at) => ({
            event: 'job.running',
            at: now,
            attempts: 1,
            ...(at === undefined ? { status: 'delivered' } : { status: 'pending', nextAt: at }),
          })),
        },
      });

      it('should find webhooks by their earliest pending delivery', async () => {
        await accept();
        await accept(webhook());
        await accept(webhook(undefined));
        const later = await accept(webhook(undefined, now - 10));
        const sooner = await accept(webhook(now + 60_000, now - 20));
        await accept(webhook(now + 60_000));
        expect(await store.webhooksDue(now)).toEqual([sooner.id, later.id]);
        await store.update(sooner.id, (job) => ({ ...job, ...webhook(now + 60_000, undefined) }));
        await store.update(later.id, (job) => ({ ...job, ...webhook(undefined, undefined) }));
        expect(await store.webhooksDue(now)).toEqual([]);
        expect(await store.webhooksDue(now + 60_000)).toHaveLength(2);
      });

      it('should find the webhook that a transition calls for, also of a finished job', async () => {
        const job = await accept(webhook());
        await cancel(job, now);
        expect(await store.webhooksDue(now - 1)).toEqual([]);
        expect(await store.webhooksDue(now)).toEqual([job.id]);
        await store.remove(job.id);
        expect(await store.webhooksDue(now)).toEqual([]);
      });

      it('should name at most twenty of them', async () => {
        for (let n = 0; n < 21; n++) await accept(webhook(now - 100 + n));
        expect(await store.webhooksDue(now)).toHaveLength(20);
      });

      it('should find jobs that finished before a time, oldest first', async () => {
        const [first, second, third, running] = await acceptAll(5);
        await run(running);
        await cancel(second, now - 30);
        await cancel(first, now - 20);
        await cancel(third, now);
        expect(await store.finishedBefore(now)).toEqual([second.id, first.id]);
        await store.remove(second.id);
        expect(await store.finishedBefore(now)).toEqual([first.id]);
      });

      it('should not find finished jobs of which somebody is still to be told', async () => {
        const [told, tellings] = [await accept(webhook()), await accept(webhook())];
        for (const [i, { id }] of [told, tellings].entries()) {
          const finishedAt = now - 30 + i;
          await store.update(id, (job) => ({ ...job, ...webhook(now), state: 'failed', finishedAt }));
        }
        await store.update(told.id, (job) => ({ ...job, ...webhook(undefined) }));
        expect(await store.finishedBefore(now)).toEqual([told.id]);
        await store.update(tellings.id, (job) => ({ ...job, ...webhook(undefined) }));
        expect(await store.finishedBefore(now)).toEqual([told.id, tellings.id]);
      });
    });

    it('should remove a job from wherever it was found, also twice', async () => {
      const [job, stays] = await acceptAll(2, { picture: { userId: 'bob' }, deadlineAt: 1 });
      await store.remove(job.id);
      await store.remove(job.id);
      expect(await store.find(job.id)).toBeUndefined();
      expect(await listed()).toEqual([stays.id]);
      expect(await listed({ userId: 'bob', state: 'queued' })).toEqual([stays.id]);
      expect(await store.overdue(2)).toEqual([stays.id]);
      expect(ids(await store.queued())).toEqual([stays.id]);
      expect(await store.update(job.id, (record) => record)).toBeUndefined();
    });

    it('should find itself in order', async () => {
      await expect(store.check()).resolves.toBeUndefined();
      expect(await store.count()).toEqual({ queued: 0, running: 0 });
    });
  });
}
