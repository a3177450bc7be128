import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadConfig, parseSize } from '@app/config';
import { ModelCatalog, type ModelsService } from '@app/models';
import {
  EngineCrashed,
  OutOfMemory,
  PipelineService,
  type GeneratedPicture,
  type GenerateRequest,
} from '@app/pipeline';
import { MemoryJobEvents } from '../embedded/memory.job.events';
import type { JobNews } from '../job.news';
import { Drawing } from './drawing';

const ENGINE = join(__dirname, '../../../test/support/engine.child.js');

describe(`${Drawing.name} when memory is short`, () => {
  let pipeline: PipelineService;
  let events: MemoryJobEvents;
  let news: EventEmitter<JobNews>;
  let files: { name: string; checkpoint: string };

  async function start(variables: Record<string, string> = {}): Promise<void> {
    const config = loadConfig({ MODEL_PATH: 'demo', ...variables });
    const models = { resolve: () => Promise.resolve(files) } as unknown as ModelsService;
    pipeline = new PipelineService(config, new ModelCatalog(config), models, ENGINE);
    pipeline.onApplicationBootstrap();
    await pipeline.whenReady();
  }
  /** The prompt is what the stand-in for the engine does. */
  async function draw(prompt: string, size = '1024x1024', { signal } = new AbortController()) {
    const request = {
      prompt,
      negativePrompt: '',
      loras: [],
      steps: 1,
      ...parseSize(size),
    } as unknown as GenerateRequest;
    const drawing = new Drawing('job', request, { pipeline, events, jobs: { news } }, signal);
    const drawn = await drawing.draw(await drawing.acquire()).next();
    return drawn.value as GeneratedPicture;
  }
  const pid = (): number =>
    (JSON.parse(pipeline.status().engines[0].device!.description) as { readonly pid: number }).pid;

  beforeEach(() => {
    Logger.overrideLogger(false);
    files = { name: 'demo', checkpoint: 'demo.safetensors' };
    events = new MemoryJobEvents();
    news = new EventEmitter();
  });
  afterEach(() => pipeline.stop());

  it('should decode in tiles what could not be decoded at once, and say so', async () => {
    await start();
    const first = pid();
    const redrawn: string[] = [];
    news.on('redrawn', (how) => redrawn.push(how));
    const { warnings, width } = await draw('hungry');
    expect(redrawn).toEqual(['in_tiles']);
    expect(width).toBe(1);
    expect(warnings).toEqual([expect.stringContaining('it was decoded in tiles, ')]);
    expect(pid()).toBe(first);
    expect(pipeline.status().state).toBe('ready');
    // What is drawn at once has nothing to tell.
    expect((await draw('draw', '512x512')).warnings).toEqual([]);
  });

  it('should draw a size once from then on, in tiles, and still say so', async () => {
    await start();
    await draw('hungry');
    const decoded = jest.fn();
    await events.subscribe('job', (event) => {
      if (event.type === 'progress' && event.progress.phase === 'text') decoded();
    });
    const { warnings } = await draw('hungry');
    expect(warnings).toEqual([expect.stringContaining('it was decoded in tiles, ')]);
    expect(decoded).toHaveBeenCalledTimes(1);
  });

  it('should say so, too, where the engine did it by itself, whatever was wanted', async () => {
    await start({ VAE_TILING: 'never' });
    expect((await draw('tiled')).warnings).toEqual([expect.stringContaining('it was decoded in tiles, ')]);
  });

  it('should do so too where the engine died of it, with the next', async () => {
    await start();
    const first = pid();
    expect((await draw('starving')).warnings).toHaveLength(1);
    expect(pid()).not.toBe(first);
  });

  it('should not try tiles where the memory went out before, or where they are not wanted', async () => {
    await start();
    const sentence = 'The picture needs more memory than the device has; try 704x704.';
    const told = { code: 'out_of_memory', message: sentence, param: 'size' };
    await expect(draw('exhausted')).rejects.toMatchObject(told);
    await expect(draw('starved')).rejects.toMatchObject({ ...told, cause: expect.any(EngineCrashed) });
    await pipeline.stop();
    await start({ VAE_TILING: 'never' });
    await expect(draw('hungry')).rejects.toMatchObject(told);
  });

  it('should decode every picture in tiles without a warning where that is wanted', async () => {
    await start({ VAE_TILING: 'always' });
    expect((await draw('hungry')).warnings).toEqual([]);
  });

  it('should name a size that this device drew, also after its process died', async () => {
    await start({ ENGINE_PROCESSES: '2' });
    while (pipeline.status().engines.some(({ state }) => state !== 'ready'))
      await new Promise((resolve) => setTimeout(resolve, 5));
    await draw('draw', '768x768');
    await expect(draw('starved')).rejects.toThrow('; a picture of 768x768 fits.');
    // The other engine now has its turn, which drew nothing yet.
    const [first, other] = [await pipeline.acquire(), await pipeline.acquire()];
    const request = {
      prompt: 'exhausted',
      negativePrompt: '',
      loras: [],
      ...parseSize('1024x1024'),
    } as unknown as GenerateRequest;
    const errors = await Promise.all(
      [first, other].map((lease) => lease.generate(request).catch((error: Error) => error.message)),
    );
    expect(errors.sort()).toEqual([
      'The picture needs more memory than the device has; a picture of 768x768 fits.',
      'The picture needs more memory than the device has; try 704x704.',
    ]);
  });

  it('should not wait for an engine that does not come back', async () => {
    await start();
    // It dies of the picture, and the next process cannot load.
    files.checkpoint = 'broken';
    await expect(draw('starving')).rejects.toMatchObject({ code: 'out_of_memory' });
    expect(pipeline.status().state).toBe('failed');
  });

  it('should take a death for a crash that only follows a picture which lacked memory', async () => {
    await start();
    await expect(draw('exhausted')).rejects.toMatchObject({ code: 'out_of_memory' });
    await expect(draw('die')).rejects.toBeInstanceOf(EngineCrashed);
  });

  it('should leave a picture that was cancelled meanwhile', async () => {
    await start();
    const aborter = new AbortController();
    await events.subscribe('job', (event) => {
      if (event.type === 'progress' && event.progress.phase === 'decoding') aborter.abort();
    });
    const picture = draw('hungry', '1024x1024', aborter);
    await expect(picture).rejects.toMatchObject({ code: 'cancelled' });
    expect(pipeline.status().state).toBe('ready');
  });

  describe('on one of two cards', () => {
    const large = { size: parseSize('1024x1024') };
    const engine = (id: number) => pipeline.status().engines[id];
    const told = (id: number) =>
      JSON.parse(engine(id).device!.description) as { readonly lacked: string[]; readonly probed?: string };
    const until = async (holds: () => boolean) => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
    };

    it('should draw it with the other, and keep its like from the first until a probe fits', async () => {
      // Another program has the memory of the fourth, for one picture and one probe.
      await start({ ENGINE_DEVICES: '0,4' });
      await until(() => pipeline.status().engines.every(({ state }) => state === 'ready'));
      const first = await pipeline.acquire();
      expect(first.id).toBe(0);
      const drawn = draw('draw');
      await until(() => told(1).lacked?.length === 1);
      // It fails no other meanwhile.
      const next = draw('draw');
      first.release();
      expect((await next).warnings).toEqual([]);
      expect((await drawn).warnings).toEqual([]);
      expect(engine(1)).toMatchObject({
        state: 'ready',
        reason: expect.stringMatching(/^engine 1 ran out of memory for 1024x1024: others are preferred/),
      });
      expect(engine(0).reason).toBeUndefined();
      expect(pipeline.drawsEverywhere(large.size!)).toBe(false);
      // The other is busy: a picture as large waits for it, a smaller one does not.
      const busy = await pipeline.acquire(large);
      const waiting = pipeline.acquire(large);
      const smaller = await pipeline.acquire({ size: parseSize('256x256') });
      expect([busy.id, smaller.id]).toEqual([0, 1]);
      smaller.release();
      const last = await waiting;
      expect(last.id).toBe(1);
      expect(told(1)).toMatchObject({ lacked: ['draw 1024x1024', 'probe 1024x1024'], probed: '1024x1024' });
      expect(engine(1).reason).toBeUndefined();
    }, 20_000);

    it('should go on with it where the other is gone', async () => {
      await start({ ENGINE_DEVICES: '0,absent' });
      await until(() => engine(1).state === 'failed');
      pipeline.eject(
        0,
        { ...large.size, loras: [] } as unknown as GenerateRequest,
        new OutOfMemory('', false),
      );
      expect(engine(0).reason).toBeDefined();
      expect((await pipeline.acquire(large)).id).toBe(0);
    });
  });
});
