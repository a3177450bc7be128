import { HostPauses } from './host.pauses';

describe(HostPauses.name, () => {
  it('should leave a host alone for longer each time that it fails, up to a minute', () => {
    const pauses = new HostPauses();
    const failures: number[] = [];
    for (let second = 0; second <= 200; second++) {
      if (pauses.has('a', 1000 * second)) continue;
      failures.push(second);
      for (let n = 0; n < 8; n++) pauses.failed('a', 1000 * second); // all that were on their way
    }
    expect(failures).toEqual([0, 5, 15, 35, 75, 135, 195]);
    expect(pauses.has('b', 0)).toBe(false);
  });

  it('should begin anew after an answer', () => {
    const pauses = new HostPauses();
    pauses.failed('a', 0);
    pauses.failed('a', 5_000);
    pauses.answered('a');
    expect(pauses.has('a', 5_000)).toBe(false);
    pauses.failed('a', 6_000);
    expect([pauses.has('a', 10_999), pauses.has('a', 11_000)]).toEqual([true, false]);
  });

  it('should forget hosts that were not seen for long', () => {
    const pauses = new HostPauses();
    for (let n = 0; n < 1000; n++) pauses.failed(`${n}`, n);
    pauses.failed('late', 100_000);
    expect((pauses as unknown as { pauses: Map<string, unknown> }).pauses.size).toBe(1);
  });
});
