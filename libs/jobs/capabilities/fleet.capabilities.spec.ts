import { Logger } from '@nestjs/common';
import { Config } from '@app/config';
import { FleetCapabilities, type WorkerCapabilities } from './fleet.capabilities';

const lora = (name: string, sha256 = `hash of ${name}`) => ({ name, tensors: 3, sha256 });
const worker = (offer: Partial<WorkerCapabilities> = {}): WorkerCapabilities => ({
  ...{ model: 'demo', ipAdapter: true, engines: 1, loras: [] },
  ...offer,
});

describe(FleetCapabilities.name, () => {
  let there: readonly WorkerCapabilities[] | Error;
  let capabilities: FleetCapabilities;
  const open = async (config: Partial<Config> = {}, ...workers: WorkerCapabilities[]) => {
    there = workers;
    const list = () => (there instanceof Error ? Promise.reject(there) : Promise.resolve(there));
    capabilities = new FleetCapabilities(Object.assign(new Config(), config), { list });
    await capabilities.onApplicationBootstrap();
  };
  const names = async () => (await capabilities.loras()).map(({ name }) => name);

  beforeEach(() => {
    Logger.overrideLogger(false);
    jest.useFakeTimers();
  });
  afterEach(() => {
    capabilities.onApplicationShutdown();
    jest.useRealTimers();
  });

  it('should add up the engines of all workers, one at least', async () => {
    await open();
    expect(capabilities.engines).toBe(1);
    await open({}, worker({ engines: 2 }), worker({ engines: 3 }));
    expect(capabilities.engines).toBe(5);
  });

  it('should name each model of the workers once, and none while no worker is there', async () => {
    await open();
    expect(capabilities.models).toEqual([]);
    await open({}, worker(), worker({ model: 'owner/other' }), worker());
    expect(capabilities.models).toEqual(['demo', 'owner/other']);
  });

  it('should offer reference pictures when every worker can use them, and while none is there', async () => {
    await open();
    expect(capabilities.hasIpAdapter).toBe(true);
    await open({}, worker(), worker({ ipAdapter: false }));
    expect(capabilities.hasIpAdapter).toBe(false);
    await open({ ENABLE_IP_ADAPTER: false }, worker());
    expect(capabilities.hasIpAdapter).toBe(false);
  });

  it('should take jobs although no worker is there', async () => {
    await open();
    expect(() => capabilities.assertAccepting()).not.toThrow();
    expect(await names()).toEqual([]);
  });

  it('should offer the embeddings that every worker has, and none where one is of an older release', async () => {
    const [night, fog] = ['night', 'fog'].map((name) => ({ name, vectors: 1, sha256: name }));
    await open({}, worker({ embeddings: [night, fog] }), worker({ embeddings: [fog] }));
    expect(capabilities.embeddings).toEqual([fog]);
    await open({}, worker({ embeddings: [night] }), worker({ embeddings: [{ ...night, sha256: 'other' }] }));
    expect(capabilities.embeddings).toEqual([]);
    await open({}, worker({ embeddings: [night] }), worker());
    expect(capabilities.embeddings).toEqual([]);
  });

  it('should offer the ControlNets that every worker has', async () => {
    await open();
    expect(capabilities.controlNets).toEqual([]);
    await open({}, worker({ controlNets: ['canny', 'depth'] }), worker({ controlNets: ['depth'] }));
    expect(capabilities.controlNets).toEqual(['depth']);
    await open({}, worker({ controlNets: ['canny'] }), worker());
    expect(capabilities.controlNets).toEqual([]);
  });

  it('should offer the LoRAs that every worker has', async () => {
    const everyone = lora('grain');
    await open({}, worker({ loras: [lora('only'), everyone] }), worker({ loras: [everyone] }));
    expect(await names()).toEqual(['grain']);
    expect(await capabilities.lora('grain')).toEqual(everyone);
    await expect(capabilities.lora('only')).rejects.toMatchObject({
      code: 'lora_not_found',
      message: 'There is no LoRA "only" on every worker. There are: grain.',
    });
  });

  it('should not say that there is no LoRA while no worker is there to know', async () => {
    await open();
    const unknown = { code: 'engine_not_ready', retryAfter: 10 };
    await expect(capabilities.lora('grain')).rejects.toMatchObject(unknown);
    there = [worker({ loras: [lora('grain')] })];
    await jest.advanceTimersByTimeAsync(2000);
    expect(await capabilities.lora('grain')).toEqual(lora('grain'));
  });

  it('should not offer a LoRA that is another file elsewhere', async () => {
    await open({}, worker({ loras: [lora('grain', 'old')] }), worker({ loras: [lora('grain', 'new')] }));
    expect(await names()).toEqual([]);
  });

  it('should not offer a LoRA that goes by another name elsewhere: workers find it by name', async () => {
    await open({}, worker({ loras: [lora('grain', 'same')] }), worker({ loras: [lora('film', 'same')] }));
    expect(await names()).toEqual([]);
  });

  it('should offer the upscalers that every worker has as the same file, and older ones have none', async () => {
    const upscaler = (name: string, sha256 = `hash of ${name}`) => ({ name, factor: 4, sha256 });
    const everyone = upscaler('sharp');
    const [one, two] = [
      worker({ upscalers: [upscaler('only'), everyone, upscaler('other', 'old')] }),
      worker({ upscalers: [upscaler('other', 'new'), everyone] }),
    ];
    await open({}, one, two);
    expect(await capabilities.upscalers()).toEqual([everyone]);
    expect(await capabilities.upscaler('sharp')).toEqual(everyone);
    await expect(capabilities.upscaler('only')).rejects.toMatchObject({
      code: 'upscaler_not_found',
      message: 'There is no upscaler "only" on every worker. There are: sharp.',
    });
    await open({}, one, worker());
    expect(await capabilities.upscalers()).toEqual([]);
    await open();
    await expect(capabilities.upscaler('sharp')).rejects.toMatchObject({ code: 'engine_not_ready' });
  });

  it('should notice who comes and goes, and stop looking at the end', async () => {
    await open({}, worker());
    there = [worker(), worker()];
    await jest.advanceTimersByTimeAsync(2000);
    expect(capabilities.workers).toHaveLength(2);
    capabilities.onApplicationShutdown();
    there = [];
    await jest.advanceTimersByTimeAsync(10_000);
    expect(capabilities.workers).toHaveLength(2);
  });

  it('should go by what it knew last while nobody can be asked', async () => {
    await open({}, worker({ engines: 4 }));
    there = new Error('Connection is closed');
    await jest.advanceTimersByTimeAsync(4000);
    expect(capabilities.engines).toBe(4);
    there = [];
    await jest.advanceTimersByTimeAsync(2000);
    expect(capabilities.workers).toEqual([]);
  });

  it('should offer the largest picture that some worker has the memory for', async () => {
    await open();
    expect(capabilities.mostPixels).toBe(Infinity); // one may come
    await open({}, worker({ mostPixels: 4_096 }), worker({ mostPixels: 65_536 }));
    expect(capabilities.mostPixels).toBe(65_536);
    await open({}, worker({ mostPixels: 4_096 }), worker());
    expect(capabilities.mostPixels).toBe(Infinity);
  });
});
