import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { until } from '../../test/support/eventually';
import { FaceFinder } from './face.finder';
import { FaceProcess, FaceProcessOptions } from './face.process';

class Options extends FaceProcessOptions {
  override readonly main: string = join(__dirname, '../../test/support/face.child.js');
  override readonly execArgv: readonly string[] = [];
  constructor(
    override readonly lookLimit = 20_000,
    override readonly idleLimit = 60_000,
  ) {
    super();
  }
}
const [NOTHING, GROWS, DIES, HANGS, FAILS] = [0, 1, 2, 3, 4].map((first) => ({
  pixels: Buffer.alloc(64 * 64 * 3, first),
  ...{ width: 64, height: 64 },
}));
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe(FaceProcess.name, () => {
  let child: FaceProcess;
  afterEach(() => child.end());

  it('should start with the first look, and serve the next ones', async () => {
    child = new FaceProcess(new Options());
    expect(child.pid).toBeUndefined();
    expect(await child.find(NOTHING)).toEqual([]);
    const { pid } = child;
    expect(await child.find(NOTHING)).toEqual([]);
    expect(child.pid).toBe(pid);
  });

  it.each([
    ['dies', DIES, /its process ended \(SIGABRT\)/],
    ['fails', FAILS, /no kernel/],
  ])('should say why nobody looked when it %s, and start another', async (_, picture, reason) => {
    child = new FaceProcess(new Options());
    await expect(child.find(picture)).rejects.toThrow(reason);
    expect(child.pid).toBeUndefined();
    expect(await child.find(NOTHING)).toEqual([]);
  });

  it('should kill what hangs', async () => {
    child = new FaceProcess(new Options(100));
    const look = child.find(HANGS);
    const pid = child.pid!;
    await expect(look).rejects.toThrow('it took longer than 100 ms');
    await until(() => !isAlive(pid));
  });

  it('should answer from one that has grown too large, and end it', async () => {
    child = new FaceProcess(new Options());
    expect(await child.find(GROWS)).toEqual([]);
    expect(child.pid).toBeUndefined();
  });

  it('should end when nobody has asked for a while', async () => {
    child = new FaceProcess(new Options(20_000, 50));
    await child.find(NOTHING);
    const pid = child.pid!;
    await until(() => !isAlive(pid));
    expect(child.pid).toBeUndefined();
    expect(await child.find(NOTHING)).toEqual([]);
  });

  it('should tell who waits that it was ended', async () => {
    child = new FaceProcess(new Options());
    const look = child.find(HANGS);
    child.end();
    await expect(look).rejects.toThrow('it was ended');
  });
});

describe(FaceFinder.name, () => {
  let finder: FaceFinder;
  const me = { caller: 'me' };
  beforeEach(() => {
    Logger.overrideLogger(false);
    finder = new FaceFinder(new Options());
  });
  afterEach(() => finder.onApplicationShutdown());

  it('should look at one picture at a time in one process, whoever asks', async () => {
    const looks = Array.from({ length: 12 }, (_, i) => finder.find(NOTHING, { caller: `caller ${i}` }));
    const pids = new Set<number>();
    for (const look of looks) {
      expect(await look).toEqual([]);
      pids.add(finder.pid!);
    }
    expect(pids.size).toBe(1);
  });

  it('should not look for who has left', async () => {
    const leaving = new AbortController();
    const first = finder.find(HANGS, me);
    const look = finder.find(NOTHING, { ...me, signal: leaving.signal });
    leaving.abort(new Error('gone'));
    await expect(look).rejects.toThrow();
    finder.onApplicationShutdown();
    expect(await first).toBeUndefined();
  });

  it('should leave a detector alone that failed three times, for a minute', async () => {
    for (let i = 0; i < 3; i++) expect(await finder.find(DIES, me)).toBeUndefined();
    expect(await finder.find(NOTHING, me)).toBeUndefined();
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_001);
    expect(await finder.find(NOTHING, me)).toEqual([]);
    jest.restoreAllMocks();
  });

  it('should go on after one or two failures', async () => {
    for (let i = 0; i < 5; i++) {
      expect(await finder.find(DIES, me)).toBeUndefined();
      expect(await finder.find(NOTHING, me)).toEqual([]);
    }
  });
});
