import { setMaxListeners } from 'node:events';
import { NoPlaceError, Shares } from './shares';

const never = new AbortController().signal;
setMaxListeners(0, never);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe(Shares.name, () => {
  let ends: Map<string, () => void>;

  beforeEach(() => (ends = new Map()));

  /** Starts work that runs until `end(name)`. */
  function start(shares: Shares, name: string, path: string[], signal = never, urgent = false) {
    const work = () => new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
    return shares.run(path, signal, work, urgent);
  }
  function startMany(shares: Shares, count: number, ...path: string[]): void {
    for (let n = 0; n < count; n++) void start(shares, `${path.join('/')} ${n}`, path).catch(() => undefined);
  }
  const running = (prefix: string) => [...ends.keys()].filter((name) => name.startsWith(prefix)).length;
  async function end(name: string): Promise<void> {
    ends.get(name)!();
    ends.delete(name);
    await turn();
  }

  it('should give half to who comes alone, and leave every next caller a place', async () => {
    const shares = new Shares(16, 60_000);
    const taken: number[] = [];
    for (const caller of ['a', 'b', 'c', 'd']) {
      startMany(shares, 20, caller);
      await turn();
      taken.push(running(caller));
    }
    expect(taken).toEqual([8, 4, 2, 1]);
  });

  it('should level callers out as places come back', async () => {
    const shares = new Shares(16, 60_000);
    startMany(shares, 20, 'a');
    startMany(shares, 20, 'b');
    await turn();
    for (let n = 0; n < 4; n++) await end(`a ${n}`);
    expect([running('a'), running('b')]).toEqual([6, 5]);
    expect(16 - running('')).toBe(5);
  });

  it('should share the half of a caller by what its path names next', async () => {
    const shares = new Shares(16, 60_000);
    startMany(shares, 20, 'a', 'one.example');
    await turn();
    expect(running('a')).toBe(4);
    startMany(shares, 20, 'a', 'two.example');
    await turn();
    expect(running('a/two')).toBe(2);
    startMany(shares, 20, 'a', 'three.example');
    await turn();
    expect(running('a/three')).toBe(1);
  });

  it('should let everybody have one where there is but one', async () => {
    const shares = new Shares(2, 60_000);
    const first = start(shares, 'first', ['a', 'x', 'y']);
    const second = start(shares, 'second', ['a', 'x', 'y']);
    await turn();
    expect(running('')).toBe(1);
    await end('first');
    await end('second');
    expect(await Promise.all([first, second])).toEqual(['first', 'second']);
  });

  it('should serve in the order of arrival, urgent work before the rest', async () => {
    const shares = new Shares(2, 60_000);
    void start(shares, 'first', ['a']);
    void start(shares, 'second', ['a']);
    void start(shares, 'third', ['a'], never, true);
    void start(shares, 'fourth', ['a'], never, true);
    await turn();
    const order: string[] = [];
    for (let n = 0; n < 4; n++) {
      const [name] = ends.keys();
      order.push(name);
      await end(name);
    }
    expect(order).toEqual(['first', 'third', 'fourth', 'second']);
  });

  it('should give the place of work that fails to the next', async () => {
    const shares = new Shares(2, 60_000);
    const failing = shares.run(['a'], never, () => turn().then(() => Promise.reject(new Error('broken'))));
    const next = shares.run(['a'], never, () => Promise.resolve('done'));
    await expect(failing).rejects.toThrow('broken');
    expect(await next).toBe('done');
  });

  it('should keep nobody waiting for longer than its patience, nor who leaves', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate'] });
    const shares = new Shares(2, 5000);
    const leaver = new AbortController();
    void start(shares, 'first', ['a']);
    const late = expect(start(shares, 'late', ['a'])).rejects.toThrow(NoPlaceError);
    const left = expect(start(shares, 'left', ['a'], leaver.signal)).rejects.toThrow('left');
    leaver.abort(new Error('left'));
    await left;
    jest.advanceTimersByTime(5000);
    await late;
    await expect(start(shares, 'gone', ['b'], leaver.signal)).rejects.toThrow('left');
    await end('first');
    expect([running(''), jest.getTimerCount()]).toEqual([0, 0]);
    jest.useRealTimers();
  });

  it('should let a hundred of one caller wait', async () => {
    const shares = new Shares(2, 60_000);
    startMany(shares, 101, 'a');
    await expect(start(shares, 'late', ['a'])).rejects.toThrow(NoPlaceError);
    expect(await shares.run(['b'], never, () => Promise.resolve('done'))).toBe('done');
  });
});
