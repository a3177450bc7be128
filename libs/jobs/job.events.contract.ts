import { setTimeout as sleep } from 'node:timers/promises';
import { KEPT_EVENTS, type JobEvent, type JobEvents, type StoredEvent } from './job.events';

export interface OpenedEvents {
  readonly events: JobEvents;
  readonly close: () => Promise<void>;
}

const running: JobEvent = { type: 'state', state: 'running' };
const succeeded: JobEvent = { type: 'state', state: 'succeeded' };
const preview: JobEvent = { type: 'preview', preview: { step: 3, jpeg: 'aGVsbG8=', width: 64, height: 64 } };
const step = (n: number): JobEvent => ({
  type: 'progress',
  progress: { phase: 'sampling', step: n, steps: 1000 },
});

/** What all events do. `open` hands over empty ones for each test. */
export function eventsContract(name: string, open: () => Promise<OpenedEvents>): void {
  describe(`${name} keeps the contract of JobEvents`, () => {
    let opened: OpenedEvents;
    let events: JobEvents;

    beforeEach(async () => {
      opened = await open();
      events = opened.events;
    });
    afterEach(() => opened.close());

    const publish = async (...news: JobEvent[]) => {
      for (const event of news) await events.publish('job', event);
    };
    const ids = async (after?: string) => (await events.read('job', after)).map(({ id }) => id);
    const bare = (stored: readonly StoredEvent[]) => stored.map((event) => ({ ...event, id: undefined }));
    /** Events come over a connection: they need not be there when publish resolves. */
    const until = async (condition: () => boolean | Promise<boolean>) => {
      for (const end = Date.now() + 5000; !(await condition()); await sleep(5))
        if (Date.now() > end) throw new Error('Not within 5 seconds');
    };

    it('should keep states and progress in their order, under ids that grow', async () => {
      await publish(running, ...Array.from({ length: 50 }, (_, n) => step(n)));
      const kept = await events.read('job');
      expect(bare(kept)).toEqual([running, ...Array.from({ length: 50 }, (_, n) => step(n))]);
      const numbers = kept.map(({ id }) => /^(\d{13})-(\d+)$/.exec(id)!.slice(1).map(Number));
      for (let i = 1; i < numbers.length; i++) {
        const [[ms, n], [before, m]] = [numbers[i], numbers[i - 1]];
        expect(ms > before || (ms === before && n > m)).toBe(true);
      }
    });

    it('should replay what came after an id', async () => {
      await publish(running, step(1), step(2));
      const [first, second, third] = await ids();
      expect(await ids(first)).toEqual([second, third]);
      expect(await ids(third)).toEqual([]);
    });

    it.each(['nonsense', '', '1-0', '9999999999999-0'])(
      'should replay everything after %j, which is no id of the job',
      async (after) => {
        await publish(running, step(1));
        expect(await ids(after)).toEqual(await ids());
        expect(await ids(after)).toHaveLength(2);
      },
    );

    it(`should keep the newest ${KEPT_EVENTS} of a job`, async () => {
      await Promise.all(Array.from({ length: KEPT_EVENTS + 40 }, (_, n) => events.publish('job', step(n))));
      const kept = bare(await events.read('job'));
      expect(kept).toEqual(Array.from({ length: KEPT_EVENTS }, (_, n) => step(n + 40)));
    });

    it('should keep jobs apart', async () => {
      const heard: StoredEvent[] = [];
      await events.subscribe('job', (event) => heard.push(event));
      await events.publish('other', running);
      await publish(step(1));
      await until(() => heard.length > 0);
      expect(bare(heard)).toEqual([step(1)]);
      expect(await events.read('other')).toHaveLength(1);
      expect(await events.read('unknown')).toEqual([]);
    });

    it('should tell all subscribers what read gives as well, from their subscription to its end', async () => {
      await publish(running);
      const heard: StoredEvent[][] = [[], []];
      const end = await events.subscribe('job', (event) => heard[0].push(event));
      await events.subscribe('job', (event) => heard[1].push(event));
      await publish(step(1));
      await until(() => heard.every((list) => list.length === 1));
      end();
      end();
      await publish(step(2));
      await until(() => heard[1].length === 2);
      expect(heard[1]).toEqual((await events.read('job')).slice(1));
      expect(bare(heard[0])).toEqual([step(1)]);
    });

    it('should show previews to those who asked, under the id of the event before, and keep none', async () => {
      const [asked, others]: StoredEvent[][] = [[], []];
      await events.subscribe('job', (event) => asked.push(event), { previews: true });
      await events.subscribe('job', (event) => others.push(event));
      await publish(step(1), preview, step(2));
      await until(() => asked.length === 3 && others.length === 2);
      expect(bare(others)).toEqual([step(1), step(2)]);
      expect(bare(asked)).toEqual([step(1), preview, step(2)]);
      expect(asked[1].id).toBe(asked[0].id);
      expect(bare(await events.read('job'))).toEqual([step(1), step(2)]);
    });

    it('should show a preview before any event', async () => {
      const heard: StoredEvent[] = [];
      await events.subscribe('job', (event) => heard.push(event), { previews: true });
      await publish(preview);
      await until(() => heard.length === 1);
      expect(heard[0]).toMatchObject(preview);
      expect(await events.read('job')).toEqual([]);
    });

    it('should know whether previews are wanted', async () => {
      expect(await events.previewsWanted('job')).toBe(false);
      const leave = await events.subscribe('job', () => {});
      expect(await events.previewsWanted('job')).toBe(false);
      const ends = [
        await events.subscribe('job', () => {}, { previews: true }),
        await events.subscribe('job', () => {}, { previews: true }),
      ];
      await until(() => events.previewsWanted('job'));
      expect(await events.previewsWanted('other')).toBe(false);
      ends[0]();
      expect(await events.previewsWanted('job')).toBe(true);
      ends[1]();
      await until(async () => !(await events.previewsWanted('job')));
      leave();
    });

    it('should replay what is kept after an id that is not kept any more', async () => {
      await publish(step(0));
      const [gone] = await ids();
      await Promise.all(Array.from({ length: 2 * KEPT_EVENTS }, (_, n) => events.publish('job', step(n))));
      const [oldest] = await ids();
      expect(oldest).not.toBe(gone);
      expect(await ids(gone)).toEqual(await ids());
    });

    it('should keep only the states of a finished job, under their ids', async () => {
      await publish(running, step(1), step(2), succeeded);
      const [first, second, , last] = await ids();
      await events.finish('job', 3600);
      expect(bare(await events.read('job'))).toEqual([running, succeeded]);
      expect(await ids()).toEqual([first, last]);
      expect(await ids(first)).toEqual([last]);
      expect(await ids(second)).toEqual([last]);
      expect(await ids(last)).toEqual([]);
    });

    it('should tell what comes after the end of a job, and keep it no more', async () => {
      const heard: StoredEvent[] = [];
      await events.subscribe('job', (event) => heard.push(event));
      await publish(running, succeeded);
      await events.finish('job', 3600);
      await publish(step(1));
      await until(() => heard.length === 3);
      expect(bare(heard)).toEqual([running, succeeded, step(1)]);
      expect(heard[2].id > heard[1].id).toBe(true);
      expect(bare(await events.read('job'))).toEqual([running, succeeded]);
    });

    it('should drop the events of a finished job after a while, and not before', async () => {
      await publish(running);
      await events.publish('other', running);
      // Longer than a timer can be set for.
      await events.finish('job', 31_536_000);
      await sleep(20);
      expect(await ids()).toHaveLength(1);
      await events.finish('job', 1);
      await until(async () => (await ids()).length === 0);
      expect(await events.read('other')).toHaveLength(1);
      await expect(events.finish('unknown', 1)).resolves.toBeUndefined();
      expect(await events.read('unknown')).toEqual([]);
    });

    it('should forget a job at once, whose ids go on growing', async () => {
      await publish(running);
      const [before] = await ids();
      await events.forget('job');
      await events.forget('unknown');
      expect(await ids()).toEqual([]);
      await sleep(2);
      await publish(step(1));
      const [after] = await ids();
      expect(after > before).toBe(true);
      await events.finish('job', 3600);
      await events.forget('job');
      await publish(step(2));
      expect(bare(await events.read('job'))).toEqual([step(2)]);
    });
  });
}
