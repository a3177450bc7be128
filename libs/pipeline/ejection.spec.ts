import { ServiceError } from '@app/errors';
import { OutOfMemory } from './device.memory';
import { Ejection } from './ejection';
import { EngineFailure } from './engine.errors';
import type { EngineProcess } from './engine.process';
import type { GenerateRequest } from './pipeline.types';

describe(Ejection.name, () => {
  const square = (side: number) => ({ width: side, height: side, loras: [] }) as unknown as GenerateRequest;
  const lack = new OutOfMemory('No', false);
  let ejection: Ejection;
  let answers: (Error | undefined)[];
  let probes: { readonly after: number; readonly width: number }[];

  /** Resolves when the probe that is due has been drawn. */
  const probe = () =>
    new Promise<void>((release) => {
      const generate = jest.fn(({ width }: GenerateRequest) => {
        probes.push({ after: Date.now(), width });
        const error = answers.shift();
        return error ? Promise.reject(error) : Promise.resolve();
      });
      const engine = { generate } as unknown as EngineProcess;
      ejection.probeIfDue(() => ({ engine, release }), false);
    });
  /** Lets time pass until `number` probes were drawn, and tells when. */
  const untilProbed = async (number: number) => {
    while (probes.length < number) await jest.advanceTimersToNextTimerAsync();
    return probes.map(({ after }) => after / 1_000);
  };

  beforeEach(() => {
    jest.useFakeTimers({ now: 0 });
    answers = [];
    probes = [];
    const log = { log: jest.fn(), warn: jest.fn() };
    ejection = new Ejection(1, { decodesInTiles: () => false }, log, () => void probe());
  });
  afterEach(() => jest.useRealTimers());

  it('should concern pictures as large as one that ran out of memory, and be over with a probe of that size', async () => {
    ejection.eject(square(1_024), lack);
    const covered = [512, 1_024, 2_048].map((side) => ejection.covers(square(side)));
    expect(covered).toEqual([false, true, true]);
    expect(ejection.covers()).toBe(true);
    await untilProbed(1);
    expect(probes).toEqual([{ after: 1_000, width: 1_024 }]);
    expect(ejection.covers(square(1_024))).toBe(false);
    expect(ejection.reason).toBeUndefined();
  });

  it('should concern all pictures where one failed otherwise; a flat probe is a picture', async () => {
    ejection.eject(square(1_024), new ServiceError('generation_failed', 'The picture is flat.'));
    expect(ejection.covers(square(64))).toBe(true);
    answers = [new EngineFailure('flat_picture', 'flat')];
    await untilProbed(1);
    expect(ejection.covers(square(64))).toBe(false);
  });

  it('should probe ever more seldom, up to every ten minutes, while probes fail', async () => {
    ejection.eject(square(1_024), lack);
    answers = Array.from({ length: 11 }, () => new EngineFailure('out_of_memory', 'No'));
    const seconds = await untilProbed(12);
    const pauses = seconds.map((at, i) => at - (seconds[i - 1] ?? 0));
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    expect(ejection.covers(square(1_024))).toBe(false);
  });

  it('should go on so where pictures fail after a probe that did not, until one of that size succeeds', async () => {
    for (let i = 0; i < 3; i++) {
      ejection.eject(square(1_024), lack);
      await untilProbed(i + 1);
      ejection.drew(square(512));
    }
    expect(probes.map(({ after }) => after)).toEqual([1_000, 3_000, 7_000]);
    ejection.drew(square(1_024));
    ejection.eject(square(1_024), lack);
    expect((await untilProbed(4)).at(-1)).toBe(8);
  });

  it('should be over with a picture of that size, and keep the smallest of several until then', () => {
    ejection.eject(square(512), lack);
    ejection.eject(square(1_024), lack);
    ejection.drew(square(448));
    expect(ejection.covers(square(512))).toBe(true);
    ejection.drew(square(512));
    expect(ejection.covers(square(2_048))).toBe(false);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('should be over, or as before, where another engine failed the picture, too', () => {
    const first = ejection.eject(square(1_024), lack);
    const second = ejection.eject(square(512), lack);
    second();
    expect([512, 1_024].map((side) => ejection.covers(square(side)))).toEqual([false, true]);
    first();
    expect(ejection.covers(square(1_024))).toBe(false);
    expect(jest.getTimerCount()).toBe(0);
  });
});
