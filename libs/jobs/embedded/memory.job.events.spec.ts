import { eventsContract } from '../job.events.contract';
import type { JobEvent, StoredEvent } from '../job.events';
import { MemoryJobEvents } from './memory.job.events';

const running: JobEvent = { type: 'state', state: 'running' };

eventsContract('MemoryJobEvents', () => {
  const events = new MemoryJobEvents();
  return Promise.resolve({ events, close: () => events.close() });
});

describe(MemoryJobEvents.name, () => {
  let events: MemoryJobEvents;
  beforeEach(() => (events = new MemoryJobEvents()));
  afterEach(() => events.close());

  it('should hand one and the same object to a thousand subscribers', async () => {
    const heard = new Set<StoredEvent>();
    let calls = 0;
    for (let n = 0; n < 1000; n++) {
      await events.subscribe('job', (event) => {
        heard.add(event);
        calls++;
      });
    }
    await events.publish('job', running);
    expect(calls).toBe(1000);
    expect(heard.size).toBe(1);
  });

  it('should give growing ids when the clock of the machine is set back', async () => {
    const clock = jest.spyOn(Date, 'now');
    for (const now of [2000, 1000, 1000, 2000, 2001]) {
      clock.mockReturnValue(now);
      await events.publish('job', running);
    }
    clock.mockRestore();
    const ids = (await events.read('job')).map(({ id }) => id);
    expect(ids).toEqual(['2000-0', '2000-1', '2000-2', '2000-3', '2001-0']);
  });

  it('should not keep the process alive to drop events', async () => {
    const interval = jest.spyOn(globalThis, 'setInterval');
    const others = new MemoryJobEvents();
    const timer = interval.mock.results[0].value as NodeJS.Timeout;
    interval.mockRestore();
    expect(timer.hasRef()).toBe(false);
    await others.close();
  });

  describe('in the long run', () => {
    const DAY = 24 * 3600 * 1000;
    /** Everything that it holds. */
    const held = () =>
      Object.values(events)
        .filter((value): value is Map<string, unknown> => value instanceof Map)
        .reduce((sum, { size }) => sum + size, 0);

    beforeEach(async () => {
      await events.close();
      jest.useFakeTimers();
      events = new MemoryJobEvents();
    });
    afterEach(() => jest.useRealTimers());

    it('should hold nothing of a job that is published to after it was forgotten', async () => {
      await events.publish('job', running);
      await events.forget('job');
      await events.publish('job', running);
      expect(held()).toBe(1);
      jest.advanceTimersByTime(2 * DAY + 60_000);
      expect(held()).toBe(0);
    });

    it('should hold the states of a finished job as long as it is told to, and no longer', async () => {
      await events.publish('job', running);
      await events.finish('job', (60 * DAY) / 1000);
      jest.advanceTimersByTime(59 * DAY);
      expect(await events.read('job')).toHaveLength(1);
      jest.advanceTimersByTime(DAY + 60_000);
      expect(held()).toBe(0);
    });

    it('should hold the states of so many jobs at most, the newest', async () => {
      for (let n = 0; n < 10_001; n++) {
        await events.publish(`${n}`, running);
        await events.finish(`${n}`, 3600);
      }
      expect(held()).toBe(10_000);
      expect(await events.read('0')).toEqual([]);
      expect(await events.read('1')).toHaveLength(1);
    });

    it('should hold no job for listeners that left', async () => {
      const leave = await events.subscribe('job', () => {}, { previews: true });
      await events.publish('job', { type: 'preview', preview: { step: 1, jpeg: '', width: 1, height: 1 } });
      leave();
      leave();
      expect(held()).toBe(0);
    });
  });
});
