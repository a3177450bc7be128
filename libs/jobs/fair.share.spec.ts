import { fairOrder, hasRoom, type Place } from './fair.share';

describe(fairOrder, () => {
  /** Jobs of one account, one behind the other. */
  const line = (seqs: readonly number[], cost: number, finish = 0) => ({
    finish,
    jobs: seqs.map((seq, index): Place => ({ seq, start: index * cost, finish: (index + 1) * cost })),
  });
  const order = (...of: Parameters<typeof fairOrder>) => fairOrder(...of).map(({ seq }) => seq);

  it('should leave the jobs of a single account in their order', () => {
    expect(order([line([3, 1, 2], 10)], 500)).toEqual([3, 1, 2]);
    expect(order([], 0)).toEqual([]);
  });

  it('should go by what the turns cost, and among equals by who came first', () => {
    expect(order([line([1, 2], 30), line([3, 4, 5, 6], 10)], 0)).toEqual([1, 3, 4, 5, 2, 6]);
  });

  it('should begin where the newest turn of the account ends, or at the virtual time', () => {
    expect(order([line([1, 2], 10, 25), line([3, 4], 10, 0)], 20)).toEqual([3, 1, 4, 2]);
  });
});

describe(hasRoom, () => {
  it('should leave one account alone the limit, and always one place to another', () => {
    expect([hasRoom(99, 99, 100), hasRoom(100, 100, 100)]).toEqual([true, false]);
    const accounts: number[] = [];
    let all = 0;
    for (let n = 0; n < 7; n++) {
      accounts[n] = 0;
      while (hasRoom(accounts[n], all, 100)) {
        accounts[n]++;
        all++;
      }
      expect(accounts[n]).toBeGreaterThan(0);
    }
    expect(accounts).toEqual([100, 50, 25, 13, 6, 3, 2]);
    expect(all).toBeLessThan(200);
  });
});
