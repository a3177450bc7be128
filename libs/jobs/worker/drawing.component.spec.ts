import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadConfig, parseSize } from '@app/config';
import type { ModelsService } from '@app/models';
import { EngineCrashed, PipelineService, type GenerateRequest } from '@app/pipeline';
import { MemoryJobEvents } from '../embedded/memory.job.events';
import { Drawing } from './drawing';

const ENGINE = join(__dirname, '../../../test/support/engine.child.js');
const FILES = { name: 'demo', checkpoint: 'demo.safetensors' };

describe(`${Drawing.name} when memory is short`, () => {
  let pipeline: PipelineService;
  let events: MemoryJobEvents;

  async function start(variables: Record<string, string> = {}): Promise<void> {
    const config = loadConfig({ MODEL_PATH: 'demo', ...variables });
    const models = { resolve: () => Promise.resolve(FILES) } as unknown as ModelsService;
    pipeline = new PipelineService(config, models, ENGINE);
    pipeline.onApplicationBootstrap();
    await pipeline.whenReady();
  }
  /** The prompt is what the stand-in for the engine does. */
  async function draw(prompt: string, size = '1024x1024', { signal } = new AbortController()) {
    const request = { prompt, loras: [], steps: 1, ...parseSize(size) } as unknown as GenerateRequest;
    const drawing = new Drawing('job', request, { pipeline, events }, signal);
    return drawing.draw(await drawing.acquire());
  }
  const pid = (): number =>
    (JSON.parse(pipeline.status().engines[0].device!.description) as { readonly pid: number }).pid;

  beforeEach(() => {
    Logger.overrideLogger(false);
    events = new MemoryJobEvents();
  });
  afterEach(() => pipeline.stop());

  it('should decode in tiles what could not be decoded at once, and say so', async () => {
    await start();
    const first = pid();
    const { warnings, width } = await draw('hungry');
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
});
