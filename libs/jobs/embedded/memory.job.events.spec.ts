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
    const timeout = jest.spyOn(globalThis, 'setTimeout');
    await events.publish('job', running);
    await events.expire('job', 3600);
    const timer = timeout.mock.results[0].value as NodeJS.Timeout;
    timeout.mockRestore();
    expect(timer.hasRef()).toBe(false);
  });
});
