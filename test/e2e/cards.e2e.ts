import { join } from 'node:path';
import { MIB } from '../support/cuda.cards';
import { CudaMachine } from '../support/cuda.service';
import { temporaryFolder } from '../support/demo';
import { fullSizeModel } from '../support/full.size';
import { describeWith } from '../support/requires';
import type { Service } from '../support/service';

const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');
const machine = new CudaMachine();

/** Full-size SDXL with avatar and LoRA on cards of NVIDIA's, as far as memory goes. */
describeWith(machine, 'SDXL on a card', () => {
  const folder = temporaryFolder();
  let model: Record<string, string>;

  beforeAll(() => {
    machine.build();
    model = fullSizeModel(join(folder, 'weights'));
  });

  async function start(cards: string, variables: Record<string, string> = {}) {
    const all = { ...model, REQUIRE_GPU: 'true', ...variables };
    const { service, books } = await machine.start(all, cards);
    await service.ready();
    expect((await service.putPicture('/v1/users/ada/avatar', PANDA)).status).toBe(200);
    return { service, books };
  }
  const draw = async (service: Service, size: string) => {
    const body = { user_id: 'ada', prompt: 'on a hill', size, num_inference_steps: 2, seed: 7 };
    const loras = [{ name: 'everything', scale: 1 }];
    const response = await service.post('/v1/images/memory', { ...body, loras });
    return (await response.json()) as { data?: { size: string }[]; warnings?: string[]; error?: object };
  };

  it.each([
    ['8 GB', 'Small:8192:8.9', /the encoders go to the card for each picture.*up to 1536x1536 in tiles/],
    ['12 GB', 'Middle:12288:8.6', /the encoders go to the card .* up to 1088x1088 are decoded at once/],
    ['24 GB', 'Large:24576:8.9', /all weights stay on the card.* up to 1792x1792 are decoded at once/],
  ])('should draw 1024x1024 with avatar and LoRA on %s, once, as planned', async (_, cards, plan) => {
    const { service, books } = await start(cards);
    expect((await service.pipeline()).engines[0].memory_plan).toMatch(plan);
    const warm = books.read();
    expect(warm.compiled).toBeGreaterThan(10);
    expect(await draw(service, '1024x1024')).toMatchObject({ data: [{ size: '1024x1024' }], warnings: [] });
    const { peak, memory, refused, compiled } = books.read();
    // By the first picture: the warm-up left nothing to a user.
    expect(compiled).toBe(warm.compiled);
    expect(refused).toBe(0);
    expect(peak).toBeLessThanOrEqual(memory);
    expect(peak).toBeGreaterThan(7_000 * MIB);
  });

  const shared = { ENGINE_DEVICES: '0,0' };
  const states = async (service: Service) => (await service.pipeline()).engines.map(({ state }) => state);

  it('should draw with two engines on one large card, two pictures at once', async () => {
    const { service, books } = await machine.start({ ...model, ...shared }, 'Huge:81559:9.0');
    await service.until(async () => (await states(service)).join() === 'ready,ready', 'has two engines');
    expect((await service.putPicture('/v1/users/ada/avatar', PANDA)).status).toBe(200);
    const drawings = [draw(service, '1024x1024'), draw(service, '1024x1024')];
    await service.until(async () => (await states(service)).join() === 'busy,busy', 'draws two pictures');
    for (const drawing of drawings) expect(await drawing).toMatchObject({ data: [{}], warnings: [] });
    expect(books.read().refused).toBe(0);
  });

  it('should draw with one engine of two on a card that has no room for both', async () => {
    const { service, books } = await machine.start({ ...model, ...shared }, 'Middle:12288:8.6');
    const settled = async () => (await states(service)).sort().join() === 'failed,ready';
    await service.until(settled, 'has one engine');
    const { engines } = await service.pipeline();
    expect(engines.find(({ state }) => state === 'failed')?.reason).toMatch(
      /^out of memory: the model needs \d\.\d GB of the card, and 0\.0 GB are free beside what other engines/,
    );
    expect((await service.putPicture('/v1/users/ada/avatar', PANDA)).status).toBe(200);
    expect(await draw(service, '1024x1024')).toMatchObject({ data: [{}], warnings: [] });
    expect(books.read().refused).toBe(0);
  });

  it('should refuse a picture that does not fit before it is drawn, with a size that does', async () => {
    const { service, books } = await start('Small:8192:8.9', { MAX_PIXELS: '4194304' });
    const { launches } = books.read();
    const { error } = await draw(service, '2048x1536');
    expect(error).toMatchObject({ code: 'invalid_request', param: 'size' });
    const [, fits] = /has the memory, such as (\d+x\d+),/.exec(JSON.stringify(error))!;
    expect(books.read().launches).toBe(launches);
    expect(await draw(service, fits)).toMatchObject({ data: [{ size: fits }], warnings: [] });
  });
});
