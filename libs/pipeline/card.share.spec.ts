import { CardShare } from './card.share';

describe(CardShare.name, () => {
  it('should be one for the engines of a card, and none for an engine that is alone', () => {
    const shares = CardShare.among(['0', '0', '1']);
    expect(shares.get('0')).toBeInstanceOf(CardShare);
    expect(shares.get('0')?.left(0)).toEqual({ promised: 0, others: 1 });
    expect(shares.get('1')).toBeUndefined();
    expect(shares.size).toBe(1);
    expect(CardShare.among([]).size).toBe(0);
  });

  it('should let engines load one after the other, also after one that failed', async () => {
    const share = new CardShare(2);
    const order: string[] = [];
    const load = (name: string, fails: boolean) => async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setTimeout(resolve, 10));
      order.push(`${name} ends`);
      if (fails) throw new Error(name);
    };
    const [first, second] = [share.inTurn(load('one', true)), share.inTurn(load('two', false))];
    await expect(first).rejects.toThrow('one');
    await second;
    expect(order).toEqual(['one begins', 'one ends', 'two begins', 'two ends']);
  });

  it('should know what the others may still take, and how many are to come', () => {
    const share = new CardShare(3);
    expect(share.left(0)).toEqual({ promised: 0, others: 2 });
    share.promise(0, 7);
    expect(share.left(1)).toEqual({ promised: 7, others: 1 });
    share.promise(1, 5);
    expect(share.left(0)).toEqual({ promised: 5, others: 1 });
  });
});
