import { ServiceError } from '@app/errors';
import { Fifo } from './fifo';

describe(Fifo.name, () => {
  it('should serve in the order of arrival, each one once', async () => {
    const line = new Fifo<string>();
    const waiting = [line.join(), line.join()];
    const nothing = () => {
      throw new Error('nobody waits');
    };
    expect(line.serve(() => 'first')).toBe(true);
    expect(line.serve(() => 'second')).toBe(true);
    expect(line.serve(nothing)).toBe(false);
    expect(await Promise.all(waiting)).toEqual(['first', 'second']);
  });

  it('should let a waiting caller leave without disturbing the line', async () => {
    const line = new Fifo<string>();
    const leaver = new AbortController();
    const left = line.join(leaver.signal);
    const next = line.join();
    leaver.abort();
    await expect(left).rejects.toMatchObject({ code: 'cancelled' });
    line.serve(() => 'thing');
    expect(await next).toBe('thing');
  });

  it('should refuse a caller that has left already, and ignore an abort after the service', async () => {
    const line = new Fifo<string>();
    await expect(line.join(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
    const caller = new AbortController();
    const served = line.join(caller.signal);
    line.serve(() => 'thing');
    const next = line.join();
    caller.abort();
    expect(await served).toBe('thing');
    expect(line.length).toBe(1);
    line.serve(() => 'another');
    expect(await next).toBe('another');
  });

  it('should send everyone away', async () => {
    const line = new Fifo<string>();
    const waiting = [line.join(), line.join()];
    line.dismiss(() => new ServiceError('draining', 'closed'));
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 'draining' });
    expect(line.length).toBe(0);
  });

  it('should let those who are preferred go first, a few times', async () => {
    const line = new Fifo<string, string>();
    const served: string[] = [];
    const join = (name: string) => void line.join(undefined, name).then(() => served.push(name));
    ['other', 'a1', 'a2', 'a3', 'b', 'a4', 'a5', 'a6'].forEach(join);
    const prefersA = (wish = '') => wish.startsWith('a');
    while (line.length > 0) {
      line.serve(() => 'thing', undefined, prefersA);
      await Promise.resolve();
    }
    await Promise.resolve();
    expect(served).toEqual(['a1', 'a2', 'a3', 'a4', 'other', 'a5', 'a6', 'b']);
  });

  it('should pass over those whose wish is not met, who keep their place', async () => {
    const line = new Fifo<string, number>();
    const [large, small, other] = [9, 1, 1].map((wish) => line.join(undefined, wish));
    const atMost =
      (most: number) =>
      (wish = 0) =>
        wish <= most;
    expect(line.serve(() => 'small', atMost(5))).toBe(true);
    expect(await small).toBe('small');
    expect(line.serve(() => 'large', atMost(10))).toBe(true);
    expect(await large).toBe('large');
    line.dismiss((wish) => (wish === 1 ? new ServiceError('out_of_memory', 'too large') : undefined));
    await expect(other).rejects.toMatchObject({ code: 'out_of_memory' });
    expect(line.serve(() => 'nobody')).toBe(false);
  });
});
