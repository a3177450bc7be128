import { Turns } from './turns';

describe(Turns.name, () => {
  const begun: string[] = [];
  let ends = new Map<string, () => void>();
  beforeEach(() => {
    begun.length = 0;
    ends = new Map();
  });

  /** Work that begins in its turn and lasts until `end` is called with its name; the letter is the caller. */
  const work = (turns: Turns, name: string, signal?: AbortSignal) =>
    turns.run(name[0], signal, () => {
      begun.push(name);
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
    });
  async function end(name: string): Promise<void> {
    ends.get(name)!();
    await new Promise(setImmediate);
  }
  const endAll = async () => {
    for (let at = 0; at < begun.length; at++) await end(begun[at]);
  };

  it('should serve a caller alone in the order of arrival, so many at a time', async () => {
    const turns = new Turns(2);
    const all = ['a1', 'a2', 'a3', 'a4'].map((name) => work(turns, name));
    expect(begun).toEqual(['a1', 'a2']);
    await end('a2');
    expect(begun).toEqual(['a1', 'a2', 'a3']);
    await end('a1');
    await end('a3');
    await end('a4');
    expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'a4']);
  });

  it('should let a caller in after what runs, however many of another wait', async () => {
    const turns = new Turns(1);
    ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1'].forEach((name) => void work(turns, name));
    await endAll();
    expect(begun).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  it('should put a caller behind the others also where several are served at a time', async () => {
    const turns = new Turns(3);
    ['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2', 'c1'].forEach((name) => void work(turns, name));
    for (const name of ['a1', 'a2', 'a3']) await end(name);
    expect(begun.slice(3)).toEqual(['b1', 'c1', 'b2']); // 'a' had its turns
    await endAll();
    expect(begun.slice(6)).toEqual(['a4', 'a5']);
  });

  it('should let who waits leave, and go on to the next one after failures', async () => {
    const turns = new Turns(1);
    const client = new AbortController();
    const first = turns.run('a', undefined, () => Promise.reject(new Error('broken')));
    const left = work(turns, 'b1', client.signal);
    const thrown = turns.run('b', undefined, () => {
      throw new Error('at once');
    });
    const last = work(turns, 'b2');
    client.abort();
    await expect(left).rejects.toMatchObject({ code: 'cancelled' });
    await expect(first).rejects.toThrow('broken');
    await expect(thrown).rejects.toThrow('at once');
    await new Promise(setImmediate);
    await end('b2');
    expect(await last).toBe('b2');
    void work(turns, 'c1');
    expect(begun).toEqual(['b2', 'c1']);
  });
});
