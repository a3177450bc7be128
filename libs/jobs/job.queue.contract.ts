import { setTimeout as sleep } from 'node:timers/promises';
import { draft } from '../../test/support/jobs';
import type { JobQueue, JobLease, Rescue } from './job.queue';
import type { JobRecord } from './job.record';
import type { JobStore } from './job.store';
import * as transitions from './job.transitions';

export interface OpenedQueue {
  readonly store: JobStore;
  /** Not started yet. */
  readonly queue: JobQueue;
  /** The same jobs as a new process finds them after the old one died; ends the old one. Not started either. */
  readonly reopen?: () => Promise<OpenedQueue>;
  readonly close: () => Promise<void>;
}

/** For specs without the jobs service. */
export const rescueIn =
  (store: JobStore): Rescue =>
  ({ id, attempts }) =>
    store.update(id, transitions.giveBack(attempts, Date.now()));

type Overrides = Parameters<typeof draft>[0];

/** What every queue does, with the store of its kind. `open` hands over empty ones for each test. */
export function queueContract(name: string, open: () => Promise<OpenedQueue>): void {
  describe(`${name} keeps the contract of JobQueue`, () => {
    let opened: OpenedQueue;
    let store: JobStore;
    let queue: JobQueue;
    const leave = new AbortController();

    const use = async (next: OpenedQueue) => {
      opened = next;
      ({ store, queue } = next);
      await queue.start(rescueIn(store));
    };
    beforeEach(async () => use(await open()));
    afterEach(() => opened.close());

    const accept = async (overrides: Overrides = {}): Promise<JobRecord> => {
      const acceptance = await store.accept(draft(overrides), { limit: 1000 });
      if (acceptance.outcome !== 'accepted') throw new Error(acceptance.outcome);
      return acceptance.job;
    };
    const submit = async (overrides: Overrides = {}) => {
      const job = await accept(overrides);
      await queue.add(job);
      return job;
    };
    /** As workers do: what still runs in its record is rescued first. */
    const take = async (): Promise<JobLease | undefined> => {
      const lease = await queue.take(leave.signal);
      const job = lease && (await store.find(lease.id));
      if (job?.state === 'running') await rescueIn(store)(job);
      return lease;
    };
    const run = (id: string) => store.update(id, transitions.start(Date.now()));
    const cancel = (id: string) => store.update(id, transitions.cancel('Cancelled', Date.now()));
    /** Takes a job and runs it to its end. */
    const serve = async (): Promise<string> => {
      const lease = (await take())!;
      await run(lease.id);
      await cancel(lease.id);
      await lease.done();
      return lease.id;
    };
    /** The ids of all jobs that are there, or undefined where none comes within a while. */
    const soon = async (milliseconds = 150): Promise<JobLease | undefined> =>
      queue.take(AbortSignal.timeout(milliseconds));

    it("should hand out a caller's jobs as they came", async () => {
      const jobs = [await submit(), await submit(), await submit()];
      const served = [await serve(), await serve(), await serve()];
      expect(served).toEqual(jobs.map(({ id }) => id));
      expect(await soon()).toBeUndefined();
    });

    it("should hand out another caller's single job next, before the rest of a hundred", async () => {
      const many: JobRecord[] = [];
      while (many.length < 100) many.push(await submit({ cost: 30 }));
      const running = (await take())!;
      await run(running.id);
      const ahead = (await take())!;
      await run(ahead.id);
      const single = await submit({ caller: 'bob', cost: 30 });
      expect([running.id, ahead.id]).toEqual([many[0].id, many[1].id]);
      expect(await serve()).toBe(single.id);
      expect(await serve()).toBe(many[2].id);
    });

    it("should hand out each account's next job in turn, however many users one of them names", async () => {
      const many: JobRecord[] = [];
      while (many.length < 40)
        many.push(await submit({ account: 'key:busy', caller: `user${many.length}`, cost: 30 }));
      const [running, ahead] = [(await take())!, (await take())!];
      await run(running.id);
      const quiet = [
        await submit({ account: 'key:quiet', cost: 30 }),
        await submit({ account: 'key:quiet', cost: 30 }),
      ];
      const served = [await serve(), await serve(), await serve(), await serve()];
      expect([running.id, ahead.id]).toEqual([many[0].id, many[1].id]);
      expect(served).toEqual([quiet[0], quiet[1], many[2], many[3]].map(({ id }) => id));
    });

    it('should hand out no job twice to eight who take at once', async () => {
      const jobs = new Set<string>();
      const taken: string[] = [];
      const takers = Array.from({ length: 8 }, async () => {
        while (taken.length < 40) {
          const lease = await soon(2000);
          if (!lease) return;
          taken.push(lease.id);
          await run(lease.id);
          await cancel(lease.id);
          await lease.done();
        }
      });
      while (jobs.size < 40) jobs.add((await submit()).id);
      await Promise.all(takers);
      expect(taken).toHaveLength(40);
      expect(new Set(taken)).toEqual(jobs);
    });

    it('should let a taker wait for a job', async () => {
      const waiting = take();
      await sleep(20);
      const job = await submit();
      expect((await waiting)!.id).toBe(job.id);
    });

    it('should let a taker leave who waits, and lose no job with it', async () => {
      const impatient = new AbortController();
      const left = queue.take(impatient.signal);
      await sleep(20);
      impatient.abort();
      expect(await left).toBeUndefined();
      expect(await queue.take(AbortSignal.abort())).toBeUndefined();
      const job = await submit();
      expect(await serve()).toBe(job.id);
    });

    it('should keep a job that was handed out from others, though its record is still queued', async () => {
      const [first, second] = [await submit(), await submit()];
      const lease = (await take())!;
      expect(lease.id).toBe(first.id);
      expect(lease.lost.aborted).toBe(false);
      await queue.add(first);
      expect((await take())!.id).toBe(second.id);
      expect(await soon()).toBeUndefined();
    });

    it('should hand out a job once that was added twice', async () => {
      const job = await submit();
      await queue.add(job);
      expect(await serve()).toBe(job.id);
      expect(await soon()).toBeUndefined();
    });

    it('should not hand out a job that was cancelled while it waited', async () => {
      const [first, second] = [await submit(), await submit()];
      await cancel(first.id);
      await queue.remove(first);
      await queue.remove(first);
      expect(await serve()).toBe(second.id);
      expect(await soon()).toBeUndefined();
    });

    it('should bear the removal of a job that is handed out', async () => {
      const [first, second] = [await submit(), await submit()];
      const lease = (await take())!;
      await cancel(first.id);
      await queue.remove(first);
      await lease.done();
      expect(await serve()).toBe(second.id);
      expect(await soon()).toBeUndefined();
    });

    it('should hand out a job again that was given back, by its old place', async () => {
      const [first, second] = [await submit(), await submit()];
      const lease = (await take())!;
      await run(lease.id);
      await store.update(lease.id, transitions.giveBack(1, Date.now()));
      await lease.release();
      expect([await serve(), await serve()]).toEqual([first.id, second.id]);
    });

    it('should wake a waiting taker for a job that is given back', async () => {
      const job = await submit();
      const lease = (await take())!;
      const waiting = take();
      await lease.release();
      expect((await waiting)!.id).toBe(job.id);
    });

    it('should hand out a job that was given back for later not before its time, but then first', async () => {
      const [first, second, third] = [await submit(), await submit(), await submit()];
      const lease = (await take())!;
      const since = Date.now();
      await lease.release(400);
      expect(await serve()).toBe(second.id);
      await sleep(since + 1000 - Date.now());
      expect([await serve(), await serve()]).toEqual([first.id, third.id]);
    });

    it('should wake a waiting taker when the time of a job has come', async () => {
      const job = await submit();
      const since = Date.now();
      await (await take())!.release(300);
      expect((await take())!.id).toBe(job.id);
      // Timers may fire a millisecond early.
      expect(Date.now() - since).toBeGreaterThanOrEqual(295);
    });

    describe('with several models', () => {
      const named = (model: string, caller = 'alice') => submit({ caller, cost: 30, picture: { model } });
      const next = async (...models: string[]): Promise<string | undefined> => {
        const lease = await queue.take(AbortSignal.timeout(1_500), models);
        if (!lease) return undefined;
        await run(lease.id);
        await cancel(lease.id);
        await lease.done();
        return lease.id;
      };

      it('should hand out jobs of those models alone that are asked for', async () => {
        const [unnamed, red, blue] = [await submit(), await named('red'), await named('blue/2')];
        expect(await next('blue/2')).toBe(blue.id);
        expect(await next('blue/2')).toBeUndefined();
        expect(await serve()).toBe(unnamed.id);
        expect(await soon()).toBeUndefined();
        expect(await next('', 'red')).toBe(red.id);
      });

      it('should keep one fair order of the models that are asked for together', async () => {
        const many: JobRecord[] = [];
        while (many.length < 70) many.push(await named(many.length % 2 ? 'red' : 'blue'));
        const unnamed = await submit({ caller: 'bob', cost: 30 });
        const red = await named('red', 'bob');
        const served = [await next('', 'red'), await next('', 'red'), await next('', 'red')];
        const [first, second] = many.filter(({ picture }) => picture.model === 'red');
        expect(served).toEqual([unnamed.id, first.id, red.id].toSorted(byTurn([unnamed, first, red])));
        expect(await next('', 'red')).toBe(second.id);
      });

      it('should wake a taker for a job of any of its models', async () => {
        const waiting = next('', 'red');
        await sleep(100);
        const job = await named('red');
        expect(await waiting).toBe(job.id);
      });

      it('should tell since when the oldest job of each waits that can be taken', async () => {
        const at = Date.now() - 60_000;
        const old = await submit({ createdAt: at, picture: { model: 'red' } });
        await submit({ createdAt: at + 1_000, picture: { model: 'red' } });
        await submit({ createdAt: at + 2_000 });
        expect(await queue.waiting()).toEqual(
          new Map([
            ['', at + 2_000],
            ['red', at],
          ]),
        );
        const lease = (await queue.take(leave.signal, ['red']))!;
        expect(lease.id).toBe(old.id);
        expect((await queue.waiting()).get('red')).toBe(at + 1_000);
        await lease.release();
        expect((await queue.waiting()).get('red')).toBe(at);
        await cancel(old.id);
        await queue.remove(old);
        expect((await queue.waiting()).get('red')).toBe(at + 1_000);
      });

      it('should find them again after its process died', async () => {
        if (!opened.reopen) return;
        const job = await named('red');
        const other = await accept({ picture: { model: 'red' } }); // its process died before it was added
        await run((await queue.take(leave.signal, ['red']))!.id);
        await use(await opened.reopen());
        const served: (string | undefined)[] = [];
        for (const end = Date.now() + 8_000; served.length < 2 && Date.now() < end;) {
          const lease = await queue.take(AbortSignal.timeout(1_000), ['red']);
          const found = lease && (await store.find(lease.id));
          if (found?.state === 'running') await rescueIn(store)(found);
          if (lease) served.push(lease.id);
        }
        expect(served.toSorted()).toEqual([job.id, other.id].toSorted());
      });
    });

    it('should let takers go when it closes', async () => {
      const waiting = take();
      await sleep(20);
      await queue.close();
      expect(await waiting).toBeUndefined();
    });

    it('should find all jobs again after its process died, the running one first', async () => {
      if (!opened.reopen) return;
      const [first, second] = [await submit(), await submit()];
      const third = await accept(); // its process died before it was added
      await run((await take())!.id);
      await use(await opened.reopen());
      const served = [await serve(), await serve(), await serve()];
      expect(served.toSorted()).toEqual([first.id, second.id, third.id].toSorted());
      expect(served.indexOf(second.id)).toBeLessThan(served.indexOf(third.id));
      expect((await store.find(first.id))!.attempts).toBe(2);
      expect(await soon()).toBeUndefined();
    });
  });
}

/** By their places: one account's jobs by start, then seq. */
const byTurn = (jobs: readonly JobRecord[]) => (a: string, b: string) => {
  const [one, other] = [a, b].map((id) => jobs.find((job) => job.id === id)!.place);
  return one.start - other.start || one.seq - other.seq;
};
