import { join } from 'node:path';
import { Session, type Generated, type GenerateOptions, type GenerateProgress } from '#native';
import { demoModel, temporaryFolder } from '../support/demo';
import { writeUpscaler } from '../support/upscaler';

const SIDE = 64;
const BYTES = SIDE * SIDE * 3;
/** The cheapest picture that shows what is tested: without guidance one prompt is encoded. */
const SMALL: GenerateOptions = {
  ...{ prompt: 'a fox on blue', width: SIDE, height: SIDE },
  ...{ steps: 4, guidanceScale: 1, seed: 7 },
};
const right = (at: number) => Math.floor(at / 3) % SIDE >= SIDE / 2;

/** The mean difference of two pictures' bytes at the places that `where` says. */
function distance(one: Buffer, other: Buffer, where: (at: number) => boolean = () => true): number {
  const differences = [...one.keys()].filter(where).map((at) => Math.abs(one[at] - other[at]));
  return differences.reduce((sum, difference) => sum + difference, 0) / differences.length;
}

describe('The addon: batches, pictures to begin from, larger sizes', () => {
  const folder = temporaryFolder();
  let session: Session;
  let plain: Generated;
  let seen: GenerateProgress[];
  /** By single options, and by none. */
  const drawn: Buffer[] = [];

  const generate = (options: Partial<GenerateOptions>) => {
    seen = [];
    return session.generate({ ...SMALL, ...options }, (progress) => seen.push(progress));
  };
  const told = () => [...new Set(seen.map(({ phase, step, steps }) => `${phase} ${step}/${steps}`))];
  const failure = (options: object) =>
    generate(options).then(
      () => ({ code: 'none', message: 'a picture' }),
      ({ code, message }: { code: string; message: string }) => ({ code, message }),
    );

  beforeAll(async () => {
    const { checkpoint: model } = await demoModel();
    session = await Session.load({ model, textEncoderType: 'q8_0' });
    plain = await generate({});
    drawn.push(plain.pixels);
  }, 180_000);
  afterAll(() => session.close());

  it('should make a batch of the seeds from the given one on, and count all of its steps', async () => {
    const batch = await generate({ count: 2, steps: 2 });
    expect(batch).toMatchObject({ width: SIDE, height: SIDE });
    expect(batch.pixels).toHaveLength(2 * BYTES);
    expect(told()).toEqual([
      ...['text 0/4', 'sampling 0/4', 'sampling 1/4', 'sampling 2/4', 'sampling 3/4', 'sampling 4/4'],
      'decoding 4/4',
    ]);
    const second = await generate({ seed: 8, steps: 2 });
    expect(batch.pixels.subarray(BYTES).equals(second.pixels)).toBe(true);
    expect(batch.pixels.subarray(0, BYTES).equals(second.pixels)).toBe(false);
  });

  it('should begin from a picture, and leave it the more alone the less strength there is', async () => {
    const from = (strength: number) =>
      generate({ image: { pixels: plain.pixels, strength }, prompt: 'a panda' });
    const faint = await from(0);
    expect(told()).toEqual(['image 0/1', 'text 0/1', 'sampling 0/1', 'sampling 1/1', 'decoding 1/1']);
    const strong = await from(0.75);
    expect(told().at(-1)).toBe('decoding 4/4');
    expect(distance(faint.pixels, plain.pixels)).toBeLessThan(10);
    expect(distance(strong.pixels, plain.pixels)).toBeGreaterThan(2 * distance(faint.pixels, plain.pixels));
  });

  it('should paint anew what the mask says, and only that', async () => {
    const mask = Buffer.from(Array.from({ length: SIDE * SIDE }, (_, i) => (i % SIDE >= SIDE / 2 ? 255 : 0)));
    const image = { pixels: plain.pixels, strength: 1 };
    const { pixels } = await generate({ image, mask, prompt: 'a cake on green' });
    expect(distance(pixels, plain.pixels, right)).toBeGreaterThan(
      3 * distance(pixels, plain.pixels, (at) => !right(at)),
    );
  });

  it('should sample a second time at a larger size', async () => {
    const hires = { width: 128, height: 64, steps: 2, strength: 0.5, upscaler: 'Latent' } as const;
    const large = await generate({ hires, steps: 2 });
    expect(large).toMatchObject({ width: 128, height: 64 });
    expect(large.pixels).toHaveLength(2 * BYTES);
    expect(told().slice(-2)).toEqual(['sampling 5/5', 'decoding 5/5']);
  });

  it('should enlarge each picture of a batch by an ESRGAN model, pixel for pixel as that says', async () => {
    const upscaler = join(folder, 'twice.safetensors');
    await writeUpscaler(upscaler, 2);
    const options = { steps: 2, count: 2, prompt: '' };
    const small = await generate(options);
    const large = await generate({ ...options, upscaler });
    expect(large).toMatchObject({ width: 2 * SIDE, height: 2 * SIDE });
    expect(large.pixels).toHaveLength(2 * 4 * BYTES);
    const enlarged = Buffer.alloc(large.pixels.length);
    for (let at = 0; at < enlarged.length; at += 3) {
      const [x, row] = [Math.floor(at / 3) % (2 * SIDE), Math.floor(at / 3 / (2 * SIDE))];
      small.pixels.copy(enlarged, at, 3 * (Math.floor(row / 2) * SIDE + Math.floor(x / 2)));
    }
    // Its weights are halves of a float.
    expect(distance(large.pixels, enlarged)).toBeLessThan(0.5);
    expect(distance(large.pixels.subarray(4 * BYTES), enlarged.subarray(0, 4 * BYTES))).toBeGreaterThan(5);
  });

  it('should sample a second time from what an ESRGAN model made of the first picture', async () => {
    const model = join(folder, 'four.safetensors');
    await writeUpscaler(model, 4);
    const hires = { width: 128, height: 64, steps: 1, strength: 0.5 };
    const larger = (by: object) => generate({ steps: 2, prompt: '', hires: { ...hires, ...by } });
    const byModel = await larger({ model });
    expect(byModel).toMatchObject({ width: 128, height: 64 });
    expect(told().slice(-2)).toEqual(['sampling 4/4', 'decoding 4/4']);
    const byLatent = await larger({ upscaler: 'Latent' });
    expect(distance(byModel.pixels, byLatent.pixels)).toBeGreaterThan(1);
    const absent = larger({ model: join(folder, 'none') });
    await expect(absent).rejects.toMatchObject({ code: 'generation_failed' });
  });

  // Without noise ddim_trailing is Euler's method.
  it('should sample by eight methods, which are none of the others', async () => {
    const samplers = [
      ...(['euler', 'dpm++2m_sde', 'lms', 'ipndm'] as const),
      ...(['tcd', 'res_multistep', 'er_sde', 'euler_ge'] as const),
    ];
    const made: Buffer[] = [];
    for (const sampler of samplers) made.push((await generate({ sampler, steps: 4, prompt: '' })).pixels);
    expect(new Set(made.map((pixels) => pixels.toString('latin1'))).size).toBe(samplers.length);
  });

  /** Twice by the same options: another picture than those that there are, and both times the same. */
  const drawAnew = async (options: Partial<GenerateOptions>, others: Buffer[]) => {
    const { pixels } = await generate(options);
    const again = await generate(options);
    expect(again.pixels.equals(pixels)).toBe(true);
    expect(others.findIndex((other) => other.equals(pixels))).toBe(-1);
    others.push(pixels);
  };
  const image = { pixels: Buffer.alloc(BYTES, 90), strength: 0.5 };
  const hires = { width: SIDE, height: SIDE, steps: 1, strength: 0.5, upscaler: 'Latent' } as const;

  it.each<[string, Partial<GenerateOptions>]>([
    ['clipSkip', { clipSkip: 1 }], // 2 is the model's own
    ['sampler', { sampler: 'dpm++2m_sde' }],
    ['scheduler', { scheduler: 'karras' }],
    ['hires', { hires }],
    ['image', { image }],
    ['mask', { image, mask: Buffer.alloc(SIDE * SIDE, 255).fill(0, 0, (SIDE * SIDE) / 2) }],
  ])(
    'should draw another picture with %s, and always the same',
    (_name, option) => drawAnew(option, drawn),
    400_000,
  );

  it('should guess steps where a cache is asked for: another picture, and always the same', async () => {
    const options = { steps: 12, prompt: '' };
    const exact = [(await generate(options)).pixels];
    for (const cache of ['ucache', 'spectrum'] as const) await drawAnew({ ...options, cache }, exact);
  }, 400_000);

  it.each<[string, object]>([
    ['Expected a whole number from 1 to 16 for count but received 17', { count: 17 }],
    ['Expected an object for image but received 5', { image: 5 }],
    [
      'Expected 12288 bytes (64x64 RGB) for image.pixels',
      { image: { pixels: Buffer.alloc(3), strength: 1 } },
    ],
    ['Expected a number from 0 to 1 for strength', { image: { pixels: Buffer.alloc(BYTES), strength: 2 } }],
    ['Expected the image that it is of for image but received nothing', { mask: Buffer.alloc(SIDE * SIDE) }],
    [
      'Expected 4096 bytes (64x64) for mask but received 1 bytes',
      { image: { pixels: Buffer.alloc(BYTES), strength: 1 }, mask: Buffer.alloc(1) },
    ],
    ['Expected a path for model but received ""', { control: { model: '' } }],
    ['Expected 12288 bytes (64x64 RGB) for control.pixels', { control: { model: 'x' } }],
    [
      'Expected a number from 0 to 2 for strength',
      { control: { model: 'x', pixels: Buffer.alloc(BYTES), strength: 3 } },
    ],
    [
      'Expected no second sampling beside control for hires',
      { control: { model: 'x' }, hires: { width: 128, height: 128, steps: 1, strength: 1 } },
    ],
    ['Expected a multiple of 64 from 64 to 4096 for width', { hires: { width: 100 } }],
    [
      'Lanczos, Nearest for upscaler but received "magic"',
      { hires: { width: 128, height: 128, steps: 1, strength: 1, upscaler: 'magic' } },
    ],
  ])('should refuse wrong options: %s', async (message, options) => {
    const refusal = await failure(options);
    expect(refusal.code).toBe('invalid_argument');
    expect(refusal.message).toContain(message);
  });

  it('should say so where the model lacks what is asked for', async () => {
    const control = { model: '/nowhere/control.safetensors', pixels: Buffer.alloc(BYTES), strength: 1 };
    expect((await failure({ control })).code).toBe('control_net_not_applied');
    expect(await failure({ upscaler: '/nowhere/upscaler.safetensors', prompt: '', steps: 1 })).toMatchObject({
      code: 'upscaler_not_applied',
    });
  });
});
