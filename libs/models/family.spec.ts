import { costOf } from './family';

describe(costOf.name, () => {
  it('should be ten or so for a picture at the defaults, and a whole number of one at least', () => {
    expect(costOf({ width: 64, height: 64, steps: 1 })).toBe(1);
    expect(costOf({ width: 1024, height: 1024, steps: 30 })).toBe(7);
    expect(costOf({ width: 1024, height: 1024, steps: 54 })).toBe(12);
    expect(costOf({ width: 2048, height: 1024, steps: 54 })).toBe(24);
  });
});
