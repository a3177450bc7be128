import type { PictureKind } from './probe.picture';
import { RestartPolicy } from './restart.policy';

describe(RestartPolicy.name, () => {
  const policy = (random = 0) => new RestartPolicy(() => random);
  const square = (side: number): PictureKind => ({ width: side, height: side, reference: false });
  /** A policy whose breaker is open. */
  const opened = (...pictures: (PictureKind | undefined)[]) => {
    const restarts = policy();
    for (let i = 0; i < 3; i++) restarts.died(pictures[i]);
    return restarts;
  };

  it('should start again at once after one death, however often, while pictures are finished between them', () => {
    const restarts = policy();
    for (let i = 0; i < 10; i++) {
      restarts.loaded();
      restarts.drew();
      expect(restarts.died()).toBe(0);
    }
    expect(restarts.open).toBe(false);
  });

  it('should wait longer for every death without a finished picture, up to a minute, also where each process loads', () => {
    const restarts = policy();
    const pauses = Array.from({ length: 9 }, () => {
      restarts.loaded();
      return restarts.died(square(64));
    });
    expect(pauses).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  it('should tell why processes ended, and start the next at once where an image was too large', () => {
    const restarts = opened();
    expect([restarts.outgrown(), restarts.outgrown()]).toEqual([0, 0]);
    restarts.failed();
    restarts.drew();
    restarts.died();
    expect(restarts.exits).toEqual({ died: 4, out_of_memory: 2, failed: 1 });
    expect(restarts.deaths).toBe(1);
  });

  it('should wait a second at least after a model that did not load', () => {
    const restarts = policy();
    expect([restarts.failed(), restarts.failed(), restarts.failed()]).toEqual([1_000, 2_000, 4_000]);
    // Bad luck after it, and no part of the same trouble.
    restarts.loaded();
    expect(restarts.died()).toBe(0);
    expect(restarts.failed()).toBe(1_000);
  });

  it('should add up to a quarter by chance', () => {
    expect(policy(1).failed()).toBe(1_250);
    expect(policy(0.5).failed()).toBe(1_125);
  });

  it('should open the breaker at the third death in a row, and close it with a finished picture alone', () => {
    const restarts = policy();
    restarts.died();
    restarts.died();
    expect(restarts).toMatchObject({ open: false, probe: undefined });
    restarts.died();
    // Its probe is drawn, and the next picture kills it again.
    restarts.loaded();
    expect(restarts.died(square(64))).toBe(4_000);
    expect(restarts).toMatchObject({ open: true, deaths: 4 });
    restarts.drew();
    expect(restarts).toMatchObject({ open: false, deaths: 0 });
    expect(restarts.died()).toBe(0);
  });

  it('should not count models that do not load as deaths', () => {
    const restarts = policy();
    for (let i = 0; i < 10; i++) restarts.failed();
    expect(restarts.open).toBe(false);
  });

  it('should probe with the smallest picture that killed', () => {
    expect(opened().probe).toMatchObject({ width: 64, height: 64 });
    expect(opened(square(1_024), { ...square(512), reference: true }, square(2_048)).probe).toEqual({
      ...square(512),
      reference: true,
    });
    expect(opened(square(1_024), undefined, undefined).probe).toEqual(square(1_024));
  });

  it('should probe with a smaller one where the probe failed, and again with what kills where it did not help', () => {
    const restarts = opened(square(1_024));
    const sides = Array.from({ length: 10 }, () => {
      restarts.probeFailed();
      restarts.died(restarts.probe);
      return restarts.probe!.width;
    });
    expect(sides.slice(0, 3)).toEqual([704, 448, 256]);
    expect(sides.at(-1)).toBe(64);
    restarts.loaded();
    restarts.died(square(1_024));
    expect(restarts.probe).toEqual(square(1_024));
  });
});
