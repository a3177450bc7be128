import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Drain } from './drain';

const never = () => new Promise<void>(() => {});

describe(Drain.name, () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  const open = (DRAIN_SECONDS = 25, ROLE: Config['ROLE'] = 'all') =>
    new Drain(Object.assign(new Config(), { DRAIN_SECONDS, ROLE }));
  /** Whether the grace for `work` is over. */
  const grace = (drain: Drain, work: () => Promise<unknown>) => {
    const outcome = { over: false };
    void drain.waitFor(work).then(() => (outcome.over = true));
    return outcome;
  };
  const turn = () => jest.advanceTimersByTimeAsync(0);

  it('should refuse from its beginning on, and end its grace after DRAIN_SECONDS', async () => {
    const drain = open();
    expect([drain.draining.aborted, drain.expired.aborted]).toEqual([false, false]);
    drain.begin();
    expect([drain.draining.aborted, drain.expired.aborted]).toEqual([true, false]);
    expect(drain.draining.reason).toBeInstanceOf(ServiceError);
    expect(drain.draining.reason).toMatchObject({ code: 'draining', retryAfter: 10 });
    await jest.advanceTimersByTimeAsync(24_000);
    drain.begin(); // does not begin anew
    expect(drain.expired.aborted).toBe(false);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(drain.expired.reason).toBe(drain.draining.reason);
  });

  it('should give work its grace, and no longer than it takes', async () => {
    const drain = open();
    let end = () => {};
    const outcome = grace(drain, () => new Promise<void>((resolve) => (end = resolve)));
    expect(drain.draining.aborted).toBe(true);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(outcome.over).toBe(false);
    end();
    await turn();
    expect(outcome.over).toBe(true);
    expect(drain.expired.aborted).toBe(false);
  });

  it('should turn away at once whoever waits for this process', () => {
    const drain = open();
    drain.beginDelayed();
    expect(drain.turningAway.aborted).toBe(true);
    expect(() => drain.assertAccepting()).toThrow('shutting down');
  });

  it('should accept for the workers until the port closes, and wait for them as long as there is grace', async () => {
    const drain = open(25, 'api');
    drain.beginDelayed();
    await jest.advanceTimersByTimeAsync(4_900);
    drain.assertAccepting();
    await jest.advanceTimersByTimeAsync(100);
    expect(() => drain.assertAccepting()).toThrow('shutting down');
    await jest.advanceTimersByTimeAsync(19_900);
    expect(drain.turningAway.aborted).toBe(false);
    await jest.advanceTimersByTimeAsync(100);
    expect(drain.turningAway.aborted).toBe(true);
  });

  it('should accept nothing more for the workers where nobody has to learn that it leaves, or is in a hurry', () => {
    const [atOnce, hurried] = [open(25, 'api'), open(25, 'api')];
    atOnce.begin();
    hurried.beginDelayed();
    hurried.hurry();
    for (const drain of [atOnce, hurried]) expect(() => drain.assertAccepting()).toThrow('shutting down');
  });

  const ends: [string, (drain: Drain) => unknown][] = [
    ['the time is over', () => jest.advanceTimersByTimeAsync(25_000)],
    ['somebody is in a hurry', (drain) => drain.expire()],
    ['the shutdown itself comes', (drain) => drain.beforeApplicationShutdown()],
  ];
  it.each(ends)('should not wait for work any more when %s', async (_what, happens) => {
    const drain = open();
    const outcome = grace(drain, never);
    await turn();
    expect(outcome.over).toBe(false);
    await happens(drain);
    await turn();
    expect(outcome.over).toBe(true);
    expect(drain.expired.aborted).toBe(true);
    const later = grace(drain, never);
    await turn();
    expect(later.over).toBe(true);
  });

  it('should give no grace with DRAIN_SECONDS=0', async () => {
    const drain = open(0);
    const outcome = grace(drain, never);
    await turn();
    expect(outcome.over).toBe(true);
  });

  it('should begin at the end of the first module, whoever ends it', () => {
    const drain = open();
    void drain.onModuleDestroy();
    expect(drain.draining.aborted).toBe(true);
  });

  describe('where others still send requests', () => {
    const delayed = (variables: Partial<Config> = {}) => {
      const config = { DRAIN_SECONDS: 0, SHUTDOWN_DELAY: 5, ...variables };
      const drain = new Drain(Object.assign(new Config(), config));
      drain.beginDelayed();
      const port = { closes: false };
      void drain.onModuleDestroy().then(() => (port.closes = true));
      return { drain, port };
    };

    it('should leave the port open for SHUTDOWN_DELAY, however early the work ends', async () => {
      const { drain, port } = delayed();
      expect(drain.draining.aborted).toBe(true);
      await jest.advanceTimersByTimeAsync(3_000);
      drain.beginDelayed(); // does not begin anew
      await jest.advanceTimersByTimeAsync(1_999);
      expect(port.closes).toBe(false);
      await jest.advanceTimersByTimeAsync(1);
      expect(port.closes).toBe(true);
    });

    it('should close it at once for who is in a hurry', async () => {
      const { drain, port } = delayed({ DRAIN_SECONDS: 25 });
      await turn();
      expect([port.closes, drain.expired.aborted]).toEqual([false, false]);
      drain.hurry();
      await turn();
      expect([port.closes, drain.expired.aborted]).toEqual([true, true]);
    });

    it.each([
      ['SHUTDOWN_DELAY=0', { SHUTDOWN_DELAY: 0 }],
      ['a worker, to which nobody sends any', { ROLE: 'worker' as const }],
    ])('should not wait with %s', async (_what, variables) => {
      const { port } = delayed(variables);
      await turn();
      expect(port.closes).toBe(true);
    });
  });
});
