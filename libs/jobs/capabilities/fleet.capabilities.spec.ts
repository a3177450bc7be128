import { Logger } from '@nestjs/common';
import { Config } from '@app/config';
import { FleetOffers, type WorkerOffer } from './fleet.capabilities';

const lora = (name: string, sha256 = `hash of ${name}`) => ({ name, tensors: 3, sha256 });
const worker = (offer: Partial<WorkerOffer> = {}): WorkerOffer => ({
  ...{ model: 'demo', ipAdapter: true, engines: 1, loras: [] },
  ...offer,
});

describe(FleetOffers.name, () => {
  let there: readonly WorkerOffer[] | Error;
  let offers: FleetOffers;
  const open = async (config: Partial<Config> = {}, ...workers: WorkerOffer[]) => {
    there = workers;
    const list = () => (there instanceof Error ? Promise.reject(there) : Promise.resolve(there));
    offers = new FleetOffers(Object.assign(new Config(), config), { list });
    await offers.onApplicationBootstrap();
  };
  const names = async () => (await offers.loras()).map(({ name }) => name);

  beforeEach(() => {
    Logger.overrideLogger(false);
    jest.useFakeTimers();
  });
  afterEach(() => {
    offers.onApplicationShutdown();
    jest.useRealTimers();
  });

  it('should add up the engines of all workers, one at least', async () => {
    await open();
    expect(offers.engines).toBe(1);
    await open({}, worker({ engines: 2 }), worker({ engines: 3 }));
    expect(offers.engines).toBe(5);
  });

  it('should offer reference pictures when every worker can use them, and while none is there', async () => {
    await open();
    expect(offers.hasIpAdapter).toBe(true);
    await open({}, worker(), worker({ ipAdapter: false }));
    expect(offers.hasIpAdapter).toBe(false);
    await open({ ENABLE_IP_ADAPTER: false }, worker());
    expect(offers.hasIpAdapter).toBe(false);
  });

  it('should take jobs although no worker is there', async () => {
    await open();
    expect(() => offers.assertOpen()).not.toThrow();
    expect(await names()).toEqual([]);
  });

  it('should offer the LoRAs that every worker has', async () => {
    const everyone = lora('grain');
    await open({}, worker({ loras: [lora('only'), everyone] }), worker({ loras: [everyone] }));
    expect(await names()).toEqual(['grain']);
    expect(await offers.lora('grain')).toEqual(everyone);
    await expect(offers.lora('only')).rejects.toMatchObject({
      code: 'lora_not_found',
      message: 'There is no LoRA "only" on every worker. There are: grain.',
    });
  });

  it('should not offer a LoRA that is another file elsewhere', async () => {
    await open({}, worker({ loras: [lora('grain', 'old')] }), worker({ loras: [lora('grain', 'new')] }));
    expect(await names()).toEqual([]);
  });

  it('should not offer a LoRA that goes by another name elsewhere: workers find it by name', async () => {
    await open({}, worker({ loras: [lora('grain', 'same')] }), worker({ loras: [lora('film', 'same')] }));
    expect(await names()).toEqual([]);
  });

  it('should notice who comes and goes, and stop looking at the end', async () => {
    await open({}, worker());
    there = [worker(), worker()];
    await jest.advanceTimersByTimeAsync(2000);
    expect(offers.workers).toHaveLength(2);
    offers.onApplicationShutdown();
    there = [];
    await jest.advanceTimersByTimeAsync(10_000);
    expect(offers.workers).toHaveLength(2);
  });

  it('should go by what it knew last while nobody can be asked', async () => {
    await open({}, worker({ engines: 4 }));
    there = new Error('Connection is closed');
    await jest.advanceTimersByTimeAsync(4000);
    expect(offers.engines).toBe(4);
    there = [];
    await jest.advanceTimersByTimeAsync(2000);
    expect(offers.workers).toEqual([]);
  });

  it('should offer the largest picture that some worker has the memory for', async () => {
    await open();
    expect(offers.mostPixels).toBe(Infinity); // one may come
    await open({}, worker({ mostPixels: 4_096 }), worker({ mostPixels: 65_536 }));
    expect(offers.mostPixels).toBe(65_536);
    await open({}, worker({ mostPixels: 4_096 }), worker());
    expect(offers.mostPixels).toBe(Infinity);
  });
});
