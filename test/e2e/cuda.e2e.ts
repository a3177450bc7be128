import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { type CudaCards, CudaError, MIB } from '../support/cuda.cards';
import { CudaMachine } from '../support/cuda.service';
import { temporaryFolder } from '../support/demo';
import { describeWith } from '../support/requires';
import { loraForAnotherModel } from '../support/safetensors';
import { isAlive, type Service } from '../support/service';

const ROUTE = '/v1/images/generations';
const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');
const SMALL = { prompt: 'a frog', size: '64x64', num_inference_steps: 2, seed: 7 };

const machine = new CudaMachine();

/** What is wrong with the machine, the engine's reason, and the back end's problem. */
interface Trouble {
  readonly cards?: string;
  readonly variables?: Record<string, string>;
  /** A library that is not there. */
  readonly without?: string;
  readonly reason: RegExp;
  readonly problem?: RegExp;
}

/** A model that would have to be downloaded, from where nobody is: what is wrong with the card is told before. */
const FAR = { MODEL_PATH: 'nobody/nothing', HF_ENDPOINT: 'http://127.0.0.1:9' };
/** From listening until the card's trouble is told, in milliseconds: on an idle machine less than one second. */
const TOLD_MS = 5_000;

const TROUBLES: readonly [string, Trouble][] = [
  [
    'cannot be named',
    { variables: { ENGINE_DEVICES: 'CUDA7' }, reason: /^no device "CUDA7" .* found CUDA0, CPU$/ },
  ],
  [
    'has another number',
    {
      variables: { ENGINE_DEVICES: '7' },
      reason:
        /^no GPU device "7" \(ENGINE_DEVICES\): .* found CPU; cuda: .*no CUDA-capable device is detected/,
      problem: /no CUDA-capable device is detected/,
    },
  ],
  [
    'is hidden',
    {
      variables: { CUDA_VISIBLE_DEVICES: '-1' },
      reason: /^no GPU device: .* found CPU; cuda: .*no CUDA-capable device is detected/,
      problem: /no CUDA-capable device is detected/,
    },
  ],
  [
    'is too old',
    {
      cards: 'GTX 1080:8192:6.1',
      reason: /^the GPU CUDA0 \(GTX 1080\) is too old: its compute capability is 6\.1, .* from 7\.5 on\./,
    },
  ],
  [
    'has a driver that is too old',
    {
      variables: { CUDA_STANDIN_OLD_DRIVER: '1' },
      reason: /^no GPU device: .* found CPU; cuda: the NVIDIA driver is too old/,
      problem: /must show version 550.*driver version is insufficient/,
    },
  ],
  [
    'has no driver',
    {
      without: 'libcuda.so.1',
      reason: /^no GPU device: .* found CPU; cuda: the NVIDIA driver \(libcuda.so.1\) is not here/,
      problem: /--gpus all.*libcuda.so.1: cannot open shared object file/,
    },
  ],
  [
    'has no CUDA libraries',
    {
      without: 'libcudart.so.12',
      reason: /^no GPU device: .* found CPU; cuda: .*npm run engine/,
      problem: /libcudart.so.12: cannot open shared object file/,
    },
  ],
];

/** Resolves to the bytes of the picture that the request makes. */
async function draw(service: Service, body: object, path = ROUTE): Promise<Buffer> {
  const response = await service.post(path, { ...SMALL, ...body });
  const { data, error } = (await response.json()) as { data?: { url: string }[]; error?: object };
  if (!data) throw new Error(JSON.stringify(error));
  const file = await fetch(service.url + new URL(data[0].url).pathname);
  return Buffer.from(await file.arrayBuffer());
}

const failed = async (service: Service) => {
  await service.until(async () => (await service.pipeline()).state === 'failed', 'has failed');
  return service.pipeline();
};

/** The pixels are the stand-in's noise; that they came from the card is what its books say. */
describeWith(machine, 'The CUDA engine', () => {
  const LORA_DIR = temporaryFolder();
  beforeAll(() => machine.build());

  it('should list the card as soon as the addon is opened', () => {
    expect(machine.devices).toEqual(['CUDA0', 'CPU']);
  });

  it('should be ready on the card after a first picture, and draw there: text, LoRA, avatar', async () => {
    const { service, books } = await machine.start({ REQUIRE_GPU: 'true' });
    await service.ready();
    expect(await service.pipeline()).toMatchObject({
      ...{ state: 'ready', device: 'CUDA0', description: 'Stand-in H100', gpu: true },
      engines: [
        {
          devices: ['CUDA0', 'CPU'],
          back_ends: [
            { name: 'cuda', devices: 1 },
            { name: 'cpu', devices: 1 },
          ],
        },
      ],
    });
    const launches = () => books.read().launches;
    const costs = async (drawing: Promise<Buffer>) => {
      const before = launches();
      await drawing;
      return launches() - before;
    };
    expect(launches()).toBeGreaterThan(1_000); // the warm-up
    expect(books.held()).toBeGreaterThan(2_000 * MIB);
    const first = draw(service, {});
    const text = await costs(first);
    expect(text).toBeGreaterThan(1_000);
    expect(await draw(service, {})).toEqual(await first);
    expect(await costs(draw(service, { loras: [{ name: 'night', scale: 1 }] }))).toBeGreaterThan(text);
    expect((await service.putPicture('/v1/users/ada/avatar', PANDA)).status).toBe(200);
    const memory = { user_id: 'ada', prompt: 'on a hill with a periwinkle' };
    expect(await costs(draw(service, memory, '/v1/images/memory'))).toBeGreaterThan(text);
    expect(service.lines.join('\n')).toContain('/v1/images/memory');
    expect(service.lines.join('\n')).not.toContain('periwinkle');
  });

  it('should name the LoRA that fails its warm-up, and be ready', async () => {
    await loraForAnotherModel(join(LORA_DIR, 'stranger.safetensors'));
    const { service } = await machine.start({ LORA_DIR });
    await service.ready();
    expect(service.lines.join('\n')).toMatch(
      /The warm-up picture with the LoRA .{1,2}stranger.{1,2} failed: /,
    );
    await draw(service, {});
  });

  it('should leave the card alone where ENGINE_DEVICES names the processor', async () => {
    // GOMP_SPINCOUNT: on a busy machine threads that wait by spinning take minutes from each other.
    const processor = { ENGINE_DEVICES: 'CPU', TEXT_ENCODER_TYPE: 'q8_0', GOMP_SPINCOUNT: '0' };
    const { service, books } = await machine.start(processor);
    await service.ready();
    expect(await service.pipeline()).toMatchObject({ device: 'CPU', gpu: false });
    await draw(service, { num_inference_steps: 1 });
    expect(books.read()).toMatchObject({ uploaded: 0, launches: 0 });
  });

  it('should keep an engine on each card', async () => {
    const cards = 'Left:24000:8.9,Right:24000:8.9';
    const { service, books } = await machine.start({ ENGINE_DEVICES: '0,1' }, cards);
    const ready = async () => (await service.pipeline()).engines.every(({ state }) => state === 'ready');
    await service.until(ready, 'has two engines');
    const { engines } = await service.pipeline();
    expect(engines.map(({ description }) => description)).toEqual(['Left', 'Right']);
    const launches = () => [0, 1].map((card) => books.read(card).launches);
    const before = launches();
    await Promise.all([draw(service, { seed: 1 }), draw(service, { seed: 2 })]);
    expect(launches().every((count, card) => count > before[card])).toBe(true);
  });

  it.each(TROUBLES)('should say why a card %s, and stay up', async (_, trouble) => {
    const library = join(machine.libraries, trouble.without ?? '');
    if (trouble.without) renameSync(library, `${library}.away`);
    try {
      const { service, books } = await machine.start({ ...FAR, ...trouble.variables }, trouble.cards);
      const listens = performance.now();
      const { reason, engines } = await failed(service);
      expect(performance.now() - listens).toBeLessThan(TOLD_MS);
      expect(reason).toMatch(trouble.reason);
      const [{ back_ends }] = engines;
      expect(back_ends).toContainEqual({ name: 'cpu', devices: 1 });
      const cuda = back_ends?.find(({ name }) => name === 'cuda');
      if (trouble.problem) expect(cuda).toMatchObject({ devices: 0 });
      expect(cuda?.problem ?? '').toMatch(trouble.problem ?? /^$/);
      expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
      const refused = await service.post(ROUTE, SMALL);
      expect(refused.status).toBe(503);
      expect(await refused.json()).toMatchObject({ error: { code: 'engine_not_ready' } });
      expect(books.read().uploaded).toBe(0);
    } finally {
      if (trouble.without) renameSync(`${library}.away`, library);
    }
  });

  it('should refuse a model that does not fit the card before it is read', async () => {
    const { service, books } = await machine.start({}, 'Small:1000:8.6');
    const { reason } = await failed(service);
    expect(reason).toMatch(/out of memory: the model needs \d\.\d GB of the card, and 0\.6 GB are free/);
    expect(books.read().uploaded).toBe(0);
  });

  it('should warn of a card that nothing is drawn on, and of engines that know nothing of each other', async () => {
    const cards = 'Left:1000:8.6,Right:1000:8.6'; // too small for the model: told before anything is loaded
    const { service } = await machine.start({ ENGINE_PROCESSES: '2' }, cards);
    await failed(service);
    const warned = (what: RegExp) =>
      service.lines.some((line) => /"level":"?(warn|40)"?/.test(line) && what.test(line));
    expect(warned(/CUDA0 draws and CUDA1 \(Right\) does not: ENGINE_DEVICES=CUDA0,CUDA1/)).toBe(true);
    expect(warned(/ENGINE_PROCESSES=2 keeps 2 engines on CUDA0/)).toBe(true);
  });

  it('should not be ready where the engine keeps weights off the card, unasked', async () => {
    const { service } = await machine.start({ LD_PRELOAD: machine.vaeInRam() });
    const { reason } = await failed(service);
    expect(reason).toBe(
      "The engine left weights in the processor's memory instead of on CUDA0, where pictures would be slow: vae",
    );
  });

  it('should warn once of a folder for compiled kernels that cannot be written', async () => {
    const { service } = await machine.start({ CUDA_CACHE_PATH: '/proc/kernels' }, 'Small:1000:8.6');
    await failed(service);
    const told = service.lines.filter((line) => line.includes('Set CUDA_CACHE_PATH'));
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/"level":"?(warn|40)"?.*\/proc\/kernels: ENOENT/);
  });

  it.each([
    ['faults in each launch', 'error', () => CudaError.illegalAddress, /The engine process died/],
    [
      'has no memory left',
      'taken',
      (books: CudaCards) => books.read(1).memory - books.held(1),
      /Engine 1 had no memory for 64x64: drawn again, by another/,
    ],
  ] as const)(
    'should lose no job to a card that %s beside one that works',
    async (_, field, value, tried) => {
      const cards = 'Left:24000:8.9,Right:24000:8.9';
      const { service, books } = await machine.start({ ENGINE_DEVICES: '0,1' }, cards);
      const ready = async () => (await service.pipeline()).engines.every(({ state }) => state === 'ready');
      await service.until(ready, 'has two engines');
      books.set(field, value(books), 1);
      const seeds = Array.from({ length: 6 }, (_, seed) => seed);
      const drawn = await Promise.all(seeds.map((seed) => draw(service, { seed })));
      for (const picture of drawn) expect(picture.length).toBeGreaterThan(0);
      // Once: then the others go to the card that works.
      const times = service.lines.filter((line) => tried.test(line)).length;
      if (field === 'taken') expect(times).toBe(1);
      else expect(times).toBeGreaterThan(0);
    },
  );

  it('should name a card that vanished, draw on the other meanwhile, and on both when it is back', async () => {
    const cards = 'Left:24000:8.9,Right:24000:8.9';
    const { service, books } = await machine.start({ ENGINE_DEVICES: '0,1' }, cards);
    const states = async () => (await service.pipeline()).engines.map(({ state }) => state).join();
    await service.until(async () => (await states()) === 'ready,ready', 'has two engines');
    books.set('gone', 1, 1);
    books.set('error', CudaError.launchFailure, 1);
    await Promise.all([draw(service, { seed: 1 }), draw(service, { seed: 2 })]);
    await service.until(async () => (await states()).endsWith('failed'), 'misses the card');
    const [, { reason, description }] = (await service.pipeline()).engines;
    expect(description).toBe('Right');
    expect(reason).toMatch(
      /^no GPU device "1" \(ENGINE_DEVICES\): .* found CPU; cuda: .*no CUDA-capable device/,
    );
    await draw(service, { seed: 3 });
    books.set('gone', 0, 1);
    books.set('error', CudaError.none, 1);
    await service.until(async () => /^(ready|busy),(ready|busy)$/.test(await states()), 'is whole again');
  });

  it('should tell that a picture lacked memory, and draw the next one when memory is there again', async () => {
    const { service, books } = await machine.start();
    await service.ready();
    const before = await draw(service, {});
    books.set('taken', books.read().memory - books.held());
    const refused = await service.post(ROUTE, SMALL);
    expect(await refused.json()).toMatchObject({ error: { code: 'out_of_memory' } });
    books.set('taken', 0);
    await service.ready();
    expect(await draw(service, {})).toEqual(before);
  });

  it('should give the memory of a killed engine back, and draw its picture again', async () => {
    const { service, books } = await machine.start({ CUDA_STANDIN_LAUNCH_US: '20' });
    await service.ready();
    const id = await service.submit(ROUTE, { ...SMALL, num_inference_steps: 50 });
    await service.until(async () => ((await service.job(id)).progress?.step ?? 0) > 0, 'draws');
    const held = books.held();
    const killed = service.enginePid!;
    process.kill(killed, 'SIGKILL');
    await service.until(() => !isAlive(killed), 'is dead');
    expect(books.held()).toBeLessThan(held / 2);
    expect(await service.jobUntil(id, 'succeeded', 'failed')).toMatchObject({
      state: 'succeeded',
      attempts: 2,
    });
    expect(books.held()).toBeLessThanOrEqual(held);
  });

  it('should survive a fault of the card: the job is told, jobs wait, and pictures are drawn when it is over', async () => {
    const { service, books } = await machine.start({ CUDA_STANDIN_LAUNCH_US: '20' });
    await service.ready();
    const id = await service.submit(ROUTE, { ...SMALL, num_inference_steps: 50 });
    for (const attempt of [1, 2]) {
      const draws = ({ attempts, progress }: Awaited<ReturnType<Service['job']>>) =>
        attempts === attempt && (progress?.step ?? 0) > 0;
      await service.until(async () => draws(await service.job(id)), 'draws');
      const engine = service.enginePid!;
      books.set('error', CudaError.illegalAddress);
      await service.until(() => !isAlive(engine), 'dies');
      if (attempt === 1) books.set('error', CudaError.none);
    }
    expect((await service.jobUntil(id, 'succeeded', 'failed')).error).toMatchObject({
      code: 'engine_crashed',
    });
    const { reason } = await failed(service);
    expect(reason).toMatch(/died 3 times in a row .*CUDA error: an illegal memory access was encountered/);
    books.set('error', CudaError.none);
    await service.ready();
    await draw(service, {});
  });
});
