import { EngineWatchdog } from './engine.watchdog';
import { PhaseBounds } from './phase.bounds';

describe(EngineWatchdog.name, () => {
  const SECOND = 1_000;
  let bounds: PhaseBounds;
  let watchdog: EngineWatchdog;
  let hung: jest.Mock<void, [string]>;

  beforeEach(() => {
    jest.useFakeTimers();
    bounds = new PhaseBounds(600 * SECOND);
    hung = jest.fn<void, [string]>();
    watchdog = new EngineWatchdog(bounds, hung);
  });
  afterEach(() => {
    watchdog.stop();
    jest.useRealTimers();
  });

  it('should notice a phase that lasts too long, once', () => {
    watchdog.enter('text');
    jest.advanceTimersByTime(600 * SECOND - 1);
    expect(hung).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1_000 * SECOND);
    expect(hung.mock.calls).toEqual([['it was in the phase "text" for more than 600 s']]);
  });

  it('should bound a phase by what it took before', () => {
    watchdog.enter('text');
    jest.advanceTimersByTime(4 * SECOND);
    watchdog.enter('step', 4096);
    watchdog.enter('text');
    jest.advanceTimersByTime(40 * SECOND - 1);
    expect(hung).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(hung).toHaveBeenCalledTimes(1);
  });

  it('should bound each step by itself', () => {
    for (let i = 0; i < 100; i++) {
      watchdog.enter('step', 4096);
      jest.advanceTimersByTime(20 * SECOND);
    }
    expect(hung).not.toHaveBeenCalled();
    jest.advanceTimersByTime(180 * SECOND);
    expect(hung.mock.calls).toEqual([['it was in the phase "step" for more than 200 s']]);
  });

  it('should give a phase that goes visibly on its time anew, and measure it as a whole', () => {
    for (let i = 0; i < 3; i++) {
      watchdog.enter('loading');
      jest.advanceTimersByTime(500 * SECOND);
    }
    watchdog.rest();
    expect(hung).not.toHaveBeenCalled();
    expect(bounds.of('loading', 1)).toBe(10 * 1500 * SECOND);
  });

  it('should measure nothing of a phase that was broken off, and bound nothing at rest', () => {
    watchdog.enter('text');
    jest.advanceTimersByTime(100 * SECOND);
    watchdog.rest(false);
    jest.advanceTimersByTime(10_000 * SECOND);
    expect(hung).not.toHaveBeenCalled();
    expect(bounds.of('text', 1)).toBe(600 * SECOND);
  });

  it('should notice silence once heartbeats came', () => {
    jest.advanceTimersByTime(60 * SECOND);
    watchdog.expectHeartbeats();
    for (let i = 0; i < 60; i++) {
      watchdog.heard();
      jest.advanceTimersByTime(1 * SECOND);
    }
    expect(hung).not.toHaveBeenCalled();
    jest.advanceTimersByTime(11 * SECOND);
    expect(hung.mock.calls).toEqual([['it gave no sign of life for 10 s']]);
  });

  it('should say nothing any more once stopped', () => {
    watchdog.expectHeartbeats();
    watchdog.enter('text');
    watchdog.stop();
    jest.advanceTimersByTime(10_000 * SECOND);
    expect(hung).not.toHaveBeenCalled();
  });
});
