import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Config, loadConfig } from '@app/config';
import { ModelCatalog, ModelsService, type ModelFiles } from '@app/models';
import { EngineCrashed } from './engine.errors';
import { PipelineService } from './pipeline.service';
import type { EngineLease } from './engine.lease';
import type { GenerateListeners, GenerateRequest, Preview } from './pipeline.types';

const ENGINE = join(__dirname, '../../test/support/engine.child.js');
const FILES: ModelFiles = { name: 'demo', checkpoint: 'demo.safetensors' };

/** The prompt is what the stand-in for the engine does. */
type Prompt = 'draw' | 'late' | 'die' | 'step and die' | 'hang' | 'fail' | 'steps' | 'starved';
const request = (prompt: Prompt) =>
  ({ prompt, negativePrompt: '', loras: [], steps: 1, width: 64, height: 64 }) as unknown as GenerateRequest;

describe(PipelineService.name, () => {
  let pipeline: PipelineService;
  let find: jest.Mock<Promise<ModelFiles>>;

  function create(variables: Record<string, string> = {}): PipelineService {
    const config = loadConfig({ MODEL_PATH: 'demo', ...variables });
    pipeline = new PipelineService(
      config,
      new ModelCatalog(config),
      { resolve: find } as unknown as ModelsService,
      ENGINE,
    );
    return pipeline;
  }
  async function start(variables: Record<string, string> = {}): Promise<PipelineService> {
    create(variables).onApplicationBootstrap();
    await pipeline.whenReady();
    return pipeline;
  }
  const draw = async (prompt: Prompt, listeners?: GenerateListeners) =>
    (await pipeline.acquire()).generate(request(prompt), listeners);
  const enginesAre = async (...states: string[]) => {
    while (pipeline.status().engines.some(({ state }, i) => state !== states[i])) {
      if (pipeline.status().state === 'stopped') throw new Error('The test is over');
      await sleep(5);
    }
  };
  const started = (id = 0) =>
    JSON.parse(pipeline.status().engines[id].device!.description) as Record<string, unknown> & {
      readonly pid: number;
    };
  const crash = async (picture: Promise<unknown>): Promise<EngineCrashed> => {
    const error: unknown = await picture.catch((error: unknown) => error);
    expect(error).toBeInstanceOf(EngineCrashed);
    return error as EngineCrashed;
  };
  /** Begins to draw, and resolves once the engine has reported it. */
  const begin = async (lease: EngineLease, listeners: GenerateListeners = {}) => {
    const aborter = new AbortController();
    let picture: Promise<unknown> = Promise.resolve();
    await new Promise<void>((begun) => {
      picture = lease.generate(request('steps'), {
        ...listeners,
        signal: aborter.signal,
        onProgress: () => begun(),
      });
      picture.catch(() => {});
    });
    return { picture, stop: () => aborter.abort() };
  };

  beforeEach(() => {
    Logger.overrideLogger(false);
    find = jest.fn(() => Promise.resolve(FILES));
  });
  afterEach(() => pipeline.stop());

  it('should start nothing before the application does', async () => {
    const module = await Test.createTestingModule({
      providers: [
        PipelineService,
        { provide: Config, useValue: loadConfig({ MODEL_PATH: 'demo' }) },
        ModelCatalog,
        { provide: ModelsService, useValue: { resolve: find } },
      ],
    }).compile();
    pipeline = module.get(PipelineService);
    expect(pipeline.status()).toMatchObject({ state: 'starting', model: 'demo', everReady: false });
    expect(find).not.toHaveBeenCalled();
  });

  it('should give the picture, the times of the engine, and the engine back', async () => {
    await start();
    expect(pipeline.status()).toMatchObject({ state: 'ready', everReady: true, device: { name: 'CPU' } });
    expect(await draw('draw')).toMatchObject({
      pixels: Buffer.from([1, 2, 3]),
      timings: { text: 1, image: 0, sampling: 2, decode: 3, engine: 6 },
    });
    await expect(draw('fail')).rejects.toMatchObject({ code: 'generation_failed' });
    expect(pipeline.status().state).toBe('ready');
  });

  it('should hand the engine out in the order in which it was asked for', async () => {
    create();
    const order: string[] = [];
    const take = async (name: string, prompt: Prompt) => {
      const lease = await pipeline.acquire();
      order.push(`${name} has it`);
      await sleep(20);
      order.push(`${name} draws`);
      await lease.generate(request(prompt)).catch(() => {});
    };
    // Before there is any engine, and with one that gives up.
    const taken = [take('a', 'draw'), take('b', 'fail'), take('c', 'draw')];
    pipeline.onApplicationBootstrap();
    await Promise.all(taken);
    expect(order).toEqual(['a has it', 'a draws', 'b has it', 'b draws', 'c has it', 'c draws']);
  });

  it('should draw the next picture while the pixels of the last are under way', async () => {
    await start();
    const late = draw('late');
    // The stand-in gives them away when the next picture is asked for, and not before.
    await draw('draw');
    expect(await late).toMatchObject({ pixels: Buffer.from([1, 2, 3]) });
  });

  it('should stay reserved for another picture where that is wanted, until it fails or is given back', async () => {
    await start();
    const lease = await pipeline.acquire();
    for (let n = 0; n < 2; n++) await lease.generate(request('draw'), {}, { hold: true });
    expect(pipeline.status().state).toBe('busy');
    await expect(lease.generate(request('fail'), {}, { hold: true })).rejects.toThrow();
    expect(pipeline.status().state).toBe('ready');
    await expect(lease.generate(request('draw'))).rejects.toThrow('acquire another');
    const last = await pipeline.acquire();
    await last.generate(request('draw'), {}, { hold: true });
    await last.generate(request('draw'));
    expect(pipeline.status().state).toBe('ready');
  });

  it('should take back an engine that was not used, once', async () => {
    await start();
    const lease = await pipeline.acquire();
    expect(pipeline.status().state).toBe('busy');
    lease.release();
    const other = await pipeline.acquire();
    lease.release();
    expect(pipeline.status().state).toBe('busy');
    await expect(lease.generate(request('draw'))).rejects.toThrow('acquire another');
    other.release();
    expect(pipeline.status().state).toBe('ready');
  });

  it('should find the model once and draw two pictures at a time with two engines', async () => {
    await start({ ENGINE_PROCESSES: '2' });
    await enginesAre('ready', 'ready');
    expect(find).toHaveBeenCalledTimes(1);
    expect(started(0)).toMatchObject({ sharers: 2 });
    const one = await begin(await pipeline.acquire());
    expect(pipeline.status().state).toBe('ready');
    const other = await begin(await pipeline.acquire());
    expect(pipeline.status()).toMatchObject({
      state: 'busy',
      engines: [{ state: 'busy' }, { state: 'busy' }],
    });
    other.stop();
    await draw('draw');
    one.stop();
    await expect(one.picture).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('should give each engine the GPU that nvidia-smi calls so', async () => {
    await start({ ENGINE_DEVICES: '3,1', ENGINE_PROCESSES: '4', ENGINE_THREADS: '2' });
    await enginesAre('ready', 'ready');
    const { engines } = pipeline.status();
    expect(engines.map(({ id, device }) => [id, device?.name])).toEqual([
      [0, 'CUDA3'],
      [1, 'CUDA1'],
    ]);
    expect(started(1)).toMatchObject({ order: 'PCI_BUS_ID', sharers: 1, threads: 2 });
  });

  it('should leave all devices visible to an engine whose device goes by its name', async () => {
    await start({ ENGINE_DEVICES: 'Vulkan0,CPU' });
    await enginesAre('ready', 'ready');
    expect(pipeline.status().engines.map(({ device }) => device?.name)).toEqual(['CPU', 'CPU']);
    expect([started(0), started(1)]).toMatchObject([{ wanted: 'Vulkan0' }, { wanted: 'CPU' }]);
  });

  it('should tell which engine it is and what it found, also when no model loads', async () => {
    find.mockResolvedValueOnce({ ...FILES, checkpoint: 'broken' });
    create().onApplicationBootstrap();
    await enginesAre('failed');
    const facts = { version: { commit: '2bb7294' }, devices: [{ name: 'CPU' }], backEnds: [] };
    expect(pipeline.status().engines[0]).toMatchObject({ facts, settings: undefined });
    await draw('draw');
    expect(pipeline.status().engines[0]).toMatchObject({ facts, settings: { flashAttention: false } });
  });

  it('should tell a death under a picture with the last lines, and draw the next with a new process', async () => {
    await start();
    const { pid } = started();
    const error = await crash(draw('die'));
    expect(error).toMatchObject({ message: 'The engine process died (exit code 3)', begun: true });
    expect(error.lines).toEqual(Array.from({ length: 20 }, (_, i) => `line ${i + 11}`));
    // Waits for the new process.
    await draw('draw');
    expect(started().pid).not.toBe(pid);
  });

  it('should wait longer before it starts an engine that dies again', async () => {
    await start();
    await crash(draw('die'));
    await (await pipeline.acquire()).generate(request('die')).catch(() => {});
    const died = performance.now();
    await draw('draw');
    expect(performance.now() - died).toBeGreaterThan(900);
  });

  it('should start an engine at once after one death, however often, while pictures are finished between', async () => {
    await start();
    for (let i = 0; i < 4; i++) {
      await crash(draw('step and die'));
      await draw('draw');
    }
    await crash(draw('step and die'));
    await enginesAre('ready');
    expect(started().probed).toBeUndefined();
  });

  it('should keep jobs from a GPU that dies in every picture, however far it comes, until it has drawn one', async () => {
    await start({ ENGINE_DEVICES: '0' });
    const dies = async () => {
      const picture = (await pipeline.acquire()).generate({ ...request('step and die'), width: 512 });
      await crash(picture);
    };
    for (let i = 0; i < 3; i++) await dies();
    await enginesAre('failed');
    expect(pipeline.status().reason).toMatch(
      /died 3 times in a row and finished no picture \(exit code 3\).*probe/,
    );
    await dies();
    expect(started()).toMatchObject({ probed: '512x64' });
    // The probe did not close the breaker,
    await enginesAre('failed');
    expect(pipeline.status().reason).toMatch(/died 4 times in a row/);
    // but a picture does.
    await draw('draw');
    await dies();
    await draw('draw');
    expect(started().probed).toBeUndefined();
  }, 20_000);

  it('should not count deaths under pictures that are too large for the device', async () => {
    await start();
    for (let i = 0; i < 4; i++)
      await expect(draw('starved')).rejects.toMatchObject({ code: 'out_of_memory' });
    await enginesAre('ready');
    expect(started().probed).toBeUndefined();
    expect(pipeline.status().engines[0].exits).toEqual({ died: 0, out_of_memory: 4, failed: 0 });
  });

  it('should kill an engine that hangs in a phase, and draw the next picture with another', async () => {
    await start({ PHASE_TIMEOUT: '1' });
    const { pid } = started();
    const error = await crash(draw('hang'));
    // its device is a CPU
    expect(error.how).toBe('hung: it was in the phase "text" for more than 6 s');
    expect(error.begun).toBe(true);
    await draw('draw');
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  }, 20_000);

  it('should tell a death before the picture began', async () => {
    await start();
    const lease = await pipeline.acquire();
    const waiting = pipeline.acquire();
    process.kill(started().pid, 'SIGKILL');
    await (await waiting).generate(request('draw'));
    const error = await crash(lease.generate(request('draw')));
    expect(error).toMatchObject({ message: 'The engine process died (killed by SIGKILL)', begun: false });
  });

  it('should keep drawing with the other engine while one is down', async () => {
    await start({ ENGINE_PROCESSES: '2' });
    await enginesAre('ready', 'ready');
    const doomed = await pipeline.acquire();
    await crash(doomed.generate(request('die')));
    expect(['ready', 'busy']).toContain(pipeline.status().state);
    await draw('draw');
    await enginesAre('ready', 'ready');
  });

  it('should say why the model does not load, and look for it again', async () => {
    find.mockResolvedValueOnce({ ...FILES, checkpoint: 'broken' });
    create().onApplicationBootstrap();
    await enginesAre('failed');
    expect(pipeline.status()).toMatchObject({ state: 'failed', reason: 'It is broken', everReady: false });
    await draw('draw');
    expect(find).toHaveBeenCalledTimes(2);
    expect(pipeline.status()).toMatchObject({ state: 'ready', everReady: true });
  });

  it('should leave the files to an engine that draws with them while they fail another', async () => {
    find.mockImplementation(() => Promise.resolve({ ...FILES, loraDir: '/loras' }));
    await start({ ENGINE_DEVICES: 'Vulkan0,sick' });
    await enginesAre('ready', 'failed');
    while (find.mock.calls.length < 2) await sleep(5);
    // The next search takes until the end of this test.
    let found!: (files: ModelFiles) => void;
    find.mockImplementation(() => new Promise((resolve) => (found = resolve)));
    while (find.mock.calls.length < 3) await sleep(5);
    await crash(draw('die'));
    await draw('draw');
    expect(pipeline.loaded.loraDir).toBe('/loras');
    expect(find).toHaveBeenCalledTimes(3);
    found(FILES);
  }, 20_000);

  it('should say what is wrong with a device, and look for no model', async () => {
    create({ ENGINE_DEVICES: 'absent' }).onApplicationBootstrap();
    await enginesAre('failed');
    expect(pipeline.status()).toMatchObject({ reason: 'No device "absent"', everReady: false });
    expect(find).not.toHaveBeenCalled();
  });

  it('should outlive an engine that dies while the model is looked for', async () => {
    let found!: (files: ModelFiles) => void;
    find.mockReturnValueOnce(new Promise((resolve) => (found = resolve)));
    create().onApplicationBootstrap();
    while (find.mock.calls.length === 0) await sleep(5);
    const { pid } = started();
    process.kill(pid, 'SIGKILL');
    found(FILES);
    await draw('draw');
    expect(started().pid).not.toBe(pid);
  });

  it('should prefer the engine that has the LoRAs merged', async () => {
    await start({ ENGINE_PROCESSES: '2', LORA_MODE: 'merged' });
    await enginesAre('ready', 'ready');
    const loras = [{ name: 'a', path: '/a', scale: 1, tensors: 0 }];
    const drawWith = async (engine: EngineLease, merged = loras) =>
      (await engine.generate({ ...request('draw'), loras: merged })).mergedAnew;
    const [first, second] = [await pipeline.acquire(), await pipeline.acquire()];
    expect([await drawWith(first, []), await drawWith(second)]).toEqual([false, true]);
    expect(pipeline.hasMerged([{ path: '/a', scale: 0.5 }])).toBe(false);
    for (let i = 0; i < 2; i++) {
      const engine = await pipeline.acquire({ loras });
      expect(engine.id).toBe(1);
      expect(await drawWith(engine)).toBe(false);
    }
    expect((await pipeline.acquire()).id).toBe(0);
  });

  it('should let a caller leave the line', async () => {
    await start();
    const lease = await pipeline.acquire();
    const leaver = new AbortController();
    const left = pipeline.acquire({ signal: leaver.signal });
    const next = pipeline.acquire();
    leaver.abort();
    await expect(left).rejects.toMatchObject({ code: 'cancelled' });
    lease.release();
    (await next).release();
  });

  it('should make previews while they are wanted', async () => {
    await start();
    let wanted = false;
    const previews: Preview[] = [];
    const steps = new EventTarget();
    const aborter = new AbortController();
    const picture = draw('steps', {
      signal: aborter.signal,
      previewsWanted: () => Promise.resolve(wanted),
      onPreview: (preview) => previews.push(preview),
      onProgress: () => steps.dispatchEvent(new Event('step')),
    });
    const step = () => once(steps, 'step');
    await step();
    await step();
    expect(previews).toEqual([]);
    wanted = true;
    while (previews.length < 2) await step();
    expect(previews[1]).toMatchObject({ width: 1, height: 1, step: previews[0].step + 1 });
    wanted = false;
    for (let before = -1; before < previews.length; await step()) before = previews.length;
    aborter.abort();
    await expect(picture).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('should tell everyone that it stops, and leave no process', async () => {
    await start();
    const { pid } = started();
    const drawing = await begin(await pipeline.acquire());
    const waiting = pipeline.acquire();
    waiting.catch(() => {});
    await Promise.all([pipeline.stop(), pipeline.stop()]);
    const ends = await Promise.allSettled([drawing.picture, waiting, pipeline.acquire()]);
    const refused = { status: 'rejected', reason: { code: 'draining', retryAfter: 10 } };
    expect(ends).toMatchObject([refused, refused, refused]);
    expect(pipeline.status()).toMatchObject({ state: 'stopped', engines: [{ state: 'stopped' }] });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  describe('with cards of different memory', () => {
    const size = (side: number) => ({ size: { width: side, height: side } });

    beforeEach(async () => {
      await start({ ENGINE_DEVICES: '5,9' });
      await enginesAre('ready', 'ready');
    });

    it('should know what fits somewhere, and what everywhere', () => {
      expect(pipeline.most).toBe(810_000);
      expect(pipeline.drawsEverywhere({ width: 512, height: 448 })).toBe(true);
      expect(pipeline.drawsEverywhere({ width: 512, height: 512 })).toBe(false);
      expect(pipeline.drawsElsewhere({ width: 512, height: 512 }, new Set([0]))).toBe(true);
      expect(pipeline.drawsElsewhere({ width: 512, height: 512 }, new Set([1]))).toBe(false);
    });

    it('should give a picture the card that has the memory, past others that wait', async () => {
      const [large, small] = [await pipeline.acquire(size(512)), await pipeline.acquire(size(512 - 64))];
      expect([large.id, small.id]).toEqual([1, 0]);
      const waiting = [pipeline.acquire(size(512)), pipeline.acquire(size(64))];
      small.release();
      expect((await waiting[1]).id).toBe(0);
      large.release();
      expect((await waiting[0]).id).toBe(1);
    });

    it('should refuse at once what no card has the memory for', async () => {
      await expect(pipeline.acquire(size(1_024))).rejects.toMatchObject({
        code: 'out_of_memory',
        message: 'The picture needs more memory than the device has; a picture of 896x896 fits.',
      });
    });

    it('should avoid a card while there is another', async () => {
      const avoid = new Set([0]);
      const lease = await pipeline.acquire({ avoid });
      expect(lease.id).toBe(1);
      lease.release();
      // Nothing else will do.
      expect((await pipeline.acquire({ avoid: new Set([1]), ...size(512) })).id).toBe(1);
    });
  });
});
