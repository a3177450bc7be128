import { Turns } from './turns';

describe(Turns.name, () => {
  it('should serve in the order of arrival, one at a time', async () => {
    const turns = new Turns();
    const seen: string[] = [];
    const job = async (name: string) => {
      const end = await turns.take();
      seen.push(`${name} begins`);
      await new Promise(setImmediate);
      seen.push(`${name} ends`);
      end();
    };
    await Promise.all([job('a'), job('b'), job('c')]);
    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    expect(turns.taken).toBe(false);
  });

  it('should let a waiting caller leave without disturbing the line', async () => {
    const turns = new Turns();
    const end = await turns.take();
    const leaver = new AbortController();
    const left = turns.take(leaver.signal);
    const next = turns.take();
    expect(turns.waiting).toBe(2);
    leaver.abort();
    await expect(left).rejects.toMatchObject({ code: 'cancelled' });
    expect(turns.waiting).toBe(1);
    end();
    (await next)();
    expect(turns.taken).toBe(false);
  });

  it('should refuse a caller that has left already, and ignore an abort after its turn began', async () => {
    const turns = new Turns();
    await expect(turns.take(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
    const caller = new AbortController();
    const end = await turns.take(caller.signal);
    const next = turns.take();
    caller.abort();
    expect(turns.waiting).toBe(1);
    end();
    end();
    expect(turns.taken).toBe(true);
    (await next)();
    expect(turns.taken).toBe(false);
  });
});
