import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseSize } from '@app/config';
import { DeviceMemory } from './device.memory';
import { EngineCrashed, EngineFailure } from './engine.errors';

const size = (text: string) => parseSize(text)!;
const advice = (memory: DeviceMemory, asked: string) =>
  memory.exceeded(size(asked), new Error('cause')).message;

describe(DeviceMemory.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'memory-'));
  const events = join(folder, 'memory.events');
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ['1024x1024', '704x704'],
    ['1536x1024', '1024x704'],
    ['128x128', '64x64'],
    ['128x64', '64x64'],
    ['4096x64', '2048x64'],
    ['64x4096', '64x2048'],
  ])('should advise half of the pixels of %s while nothing is known: %s', (asked, half) => {
    const sentence = `The picture needs more memory than the device has; try ${half}.`;
    expect(advice(new DeviceMemory(), asked)).toBe(sentence);
  });

  it('should tell the largest size that was drawn, where it is smaller', () => {
    const memory = new DeviceMemory();
    for (const drawn of ['64x64', '768x512', '512x512']) memory.drew(size(drawn), false);
    expect(advice(memory, '1024x1024')).toMatch(/; a picture of 768x512 fits\.$/);
    // It was drawn before; this time something else takes the memory.
    expect(advice(memory, '512x768')).toMatch(/; try 320x512\.$/);
  });

  it('should not advise a size where there is none', () => {
    expect(advice(new DeviceMemory(), '64x64')).toMatch(/, and there is no smaller one\.$/);
  });

  it('should blame the size, for good', () => {
    const error = new DeviceMemory().exceeded(size('128x128'), new Error('cause'));
    expect(error).toMatchObject({ code: 'out_of_memory', param: 'size', cause: { message: 'cause' } });
  });

  it('should know want of memory from other failures and deaths', () => {
    const lacked = new DeviceMemory('retry', join(folder, 'none')).watch();
    expect(lacked(new EngineFailure('out_of_memory', ''))).toBe(true);
    expect(lacked(new EngineFailure('flat_picture', 'out of memory'))).toBe(false);
    expect(lacked(new EngineCrashed('killed by SIGABRT', true, [], true))).toBe(true);
    expect(lacked(new EngineCrashed('killed by SIGABRT', true, ['CUDA error'], false))).toBe(false);
    // Dead before it was asked for the picture: whatever it lacked memory for was another.
    expect(lacked(new EngineCrashed('killed by SIGABRT', false, [], true))).toBe(false);
    expect(lacked(new EngineCrashed('killed by SIGKILL', true, []))).toBe(false);
    expect(lacked(new Error('out of memory'))).toBe(false);
  });

  it('should take a kill for one by the kernel where the container counted one meanwhile', () => {
    const write = (kills: number) =>
      writeFileSync(events, `low 0\noom 9\noom_kill ${kills}\noom_group_kill 0\n`);
    const killed = new EngineCrashed('killed by SIGKILL', true, []);
    const aborted = new EngineCrashed('killed by SIGABRT', true, []);
    write(1);
    const lacked = new DeviceMemory('retry', events).watch();
    expect(lacked(killed)).toBe(false);
    write(2);
    expect(lacked(killed)).toBe(true);
    expect(lacked(aborted)).toBe(false);
  });

  describe('with a plan', () => {
    const planned = (tiling?: 'never' | 'retry' | 'always') => {
      const memory = new DeviceMemory(tiling);
      memory.loaded({ offloadEncoders: true, whole: 512 * 512, inTiles: 1_024 * 1_024, sentence: '' });
      return memory;
    };

    it.each([
      ['512x512', 'retry', false],
      ['576x512', 'retry', true],
      ['512x512', 'always', true],
      ['512x512', 'never', false],
    ] as const)('should know whether %s is decoded in tiles (VAE_TILING=%s)', (asked, tiling, tiles) => {
      expect(planned(tiling).decodesInTiles(size(asked))).toBe(tiles);
      expect(planned(tiling).plansTiles(size(asked))).toBe(tiles);
    });

    it.each([
      ['1536x1024', 'retry', '1216x832'],
      ['2048x2048', 'always', '1024x1024'],
      ['576x512', 'never', '512x448'],
    ] as const)('should know that %s does not fit (%s), and what does: %s', (asked, tiling, fits) => {
      expect(planned(tiling).fits(size(asked))).toBe(false);
      expect(planned(tiling).fits(size(fits))).toBe(true);
      expect(advice(planned(tiling), asked)).toContain(`; a picture of ${fits} fits.`);
    });

    it('should take any shape of so many pixels', () => {
      expect(planned().fits(size('4096x64'))).toBe(true);
    });
  });

  describe('without a plan', () => {
    const ranOut = (memory: DeviceMemory, asked: string, cause = new Error('cause')) =>
      memory.exceeded(size(asked), cause, true);
    const inTiles = (memory: DeviceMemory, ...asked: string[]) =>
      asked.filter((text) => memory.decodesInTiles(size(text)));

    it('should decode at once in tiles what is as large as a picture that could not be decoded at once', () => {
      const memory = new DeviceMemory();
      ranOut(memory, '1024x1024');
      ranOut(memory, '2048x2048');
      const sizes = ['960x1024', '1024x1024', '512x2048', '1536x1024'];
      expect(inTiles(memory, ...sizes)).toEqual(sizes.slice(1));
      // Nobody asked for it: the picture's warning says so.
      expect(memory.plansTiles(size('1024x1024'))).toBe(false);
    });

    it('should not conclude anything from memory that ran out before, nor where tiles are not wanted', () => {
      const memory = new DeviceMemory();
      memory.exceeded(size('1024x1024'), new Error('cause'), false);
      const never = new DeviceMemory('never');
      ranOut(never, '1024x1024');
      expect([...inTiles(memory, '1024x1024'), ...inTiles(never, '1024x1024')]).toEqual([]);
    });

    it('should try again with another process, but not where one died of it', () => {
      const memory = new DeviceMemory();
      ranOut(memory, '1024x1024');
      memory.loaded();
      expect(inTiles(memory, '1024x1024')).toEqual([]);
      ranOut(memory, '1024x1024', new EngineCrashed('killed by SIGABRT', true, [], true));
      memory.loaded();
      expect(inTiles(memory, '1024x1024')).toEqual(['1024x1024']);
      memory.loaded();
      expect(inTiles(memory, '1024x1024')).toEqual([]);
    });

    it('should try again when a larger one was decoded at once', () => {
      const memory = new DeviceMemory();
      ranOut(memory, '1024x1024');
      memory.drew(size('1536x1024'), true);
      expect(inTiles(memory, '1024x1024')).toEqual(['1024x1024']);
      memory.drew(size('1536x1024'), false);
      expect(inTiles(memory, '1024x1024')).toEqual([]);
    });
  });

  it('should say whether tiles may help: while it was decoded, and where they are wanted', () => {
    const helps = (memory: DeviceMemory, decoding: boolean) =>
      memory.exceeded(size('1024x1024'), undefined, decoding).tilesMayFit;
    expect(helps(new DeviceMemory('retry'), true)).toBe(true);
    expect(helps(new DeviceMemory('retry'), false)).toBe(false);
    expect(helps(new DeviceMemory('never'), true)).toBe(false);
  });

  it('should leave everything to the drawing without one, but tiles where the engine cannot do without', () => {
    const memory = new DeviceMemory('never');
    expect(memory.fits(size('4096x4096'))).toBe(true);
    expect(memory.most).toBe(Infinity);
    expect(memory.decodesInTiles(size('2048x2048'))).toBe(false);
    expect(memory.decodesInTiles(size('2112x2048'))).toBe(true);
  });
});
