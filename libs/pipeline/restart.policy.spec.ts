import { RestartPolicy } from './restart.policy';

describe(RestartPolicy.name, () => {
  const policy = (random = 0) => new RestartPolicy(() => random);

  it('should start again at once after a death that followed a finished step', () => {
    const restarts = policy();
    for (let i = 0; i < 10; i++) expect(restarts.died(true)).toBe(0);
    expect(restarts.open).toBeUndefined();
  });

  it('should wait longer for every death before a first step, up to a minute', () => {
    const restarts = policy();
    const pauses = Array.from({ length: 9 }, () => restarts.died(false));
    expect(pauses).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  it('should wait a second at least after a model that did not load', () => {
    const restarts = policy();
    expect([restarts.failed(), restarts.failed(), restarts.failed()]).toEqual([1_000, 2_000, 4_000]);
  });

  it('should add up to a quarter by chance', () => {
    expect(policy(1).failed()).toBe(1_250);
    expect(policy(0.5).failed()).toBe(1_125);
  });

  it('should open the breaker at the third early death in a row, and close it with a step', () => {
    const restarts = policy();
    restarts.died(false);
    restarts.died(false);
    expect(restarts.open).toBeUndefined();
    restarts.died(false);
    expect(restarts.open).toBe(3);
    restarts.stepped();
    expect(restarts.open).toBeUndefined();
    expect(restarts.died(false)).toBe(0);
  });

  it('should begin to count again after a death that followed a step', () => {
    const restarts = policy();
    for (let i = 0; i < 2; i++) restarts.died(false);
    restarts.died(true);
    for (let i = 0; i < 2; i++) restarts.died(false);
    expect(restarts.open).toBeUndefined();
  });

  it('should not count models that do not load as deaths', () => {
    const restarts = policy();
    for (let i = 0; i < 10; i++) restarts.failed();
    expect(restarts.open).toBeUndefined();
  });
});
