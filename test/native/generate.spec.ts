import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Session, type Generated, type GenerateOptions, type GenerateProgress } from '#native';
import type { DemoFiles } from '../../libs/models/demo';
import { demoModel, NIGHT_LORA, temporaryFolder } from '../support/demo';
import { loraForAnotherModel, loraLayer, partlyMatchingLora, writeSafetensors } from '../support/safetensors';

/**
 * The cheapest picture that the engine makes: what is tested here does not depend on how good it looks. Prompts cost most
 * of its time; without guidance only one is encoded.
 */
const SMALL: GenerateOptions = {
  prompt: 'a fox on blue',
  width: 64,
  height: 64,
  steps: 1,
  guidanceScale: 1,
  seed: 7,
};
const plainReference = (r: number, g: number, b: number) => ({
  pixels: Buffer.alloc(224 * 224 * 3, Buffer.from([r, g, b])),
  strength: 0.8,
});

describe('The addon: generating', () => {
  const folder = temporaryFolder();
  let files: DemoFiles;
  let session: Session;
  let plain: Generated;

  beforeAll(async () => {
    files = await demoModel();
    const { checkpoint: model, ipAdapter, clipVision } = files;
    // 8 bit: what is tested here does not depend on it, and every picture encodes its prompt faster.
    const types = { textEncoderType: 'q8_0', imageEncoderType: 'q8_0' } as const;
    session = await Session.load({ model, ipAdapter, clipVision, ...types });
    plain = await session.generate(SMALL);
  }, 120_000);
  afterAll(() => session.close());

  const failure = (options: object) =>
    session.generate({ ...SMALL, ...options }).then(
      () => ({ code: 'none', message: 'a picture' }),
      ({ code, message }: { code: string; message: string }) => ({ code, message }),
    );

  it.each<[string, object]>([
    ['Expected a string of at most 160000 characters without NUL for prompt but received 5', { prompt: 5 }],
    ['for prompt but received a string of 160001 bytes', { prompt: 'x'.repeat(160_001) }],
    ['for prompt but received a string with a NUL', { prompt: 'a\0b' }],
    ['Expected well-formed Unicode for prompt', { prompt: 'half a pair \ud83d' }],
    ['Expected a multiple of 64 from 64 to 4096 for width but received 100', { width: 100 }],
    ['Expected a multiple of 64 from 64 to 4096 for width but received 0', { width: 0 }],
    ['Expected a multiple of 64 from 64 to 4096 for height but received 4160', { height: 4160 }],
    ['Expected a multiple of 64 from 64 to 4096 for height but received "64"', { height: '64' }],
    ['Expected a whole number from 1 to 150 for steps but received 0', { steps: 0 }],
    ['Expected a whole number from 1 to 150 for steps but received 1.5', { steps: 1.5 }],
    ['Expected a number from 0 to 30 for guidanceScale but received NaN', { guidanceScale: NaN }],
    ['Expected a whole number from 0 to 4294967295 for seed but received -1', { seed: -1 }],
    ['for seed but received 4294967296', { seed: 2 ** 32 }],
    ['Expected one of euler, euler_a', { sampler: 'magic' }],
    ['Expected one of discrete, karras', { scheduler: 7 }],
    ['Expected one of none, easycache', { cache: 'all' }],
    ['Expected -1 or 1 to 12 for clipSkip but received 0', { clipSkip: 0 }],
    ['Expected a list of at most 8 LoRAs for loras but received an object', { loras: {} }],
    ['Expected a number from -2 to 2 for scale but received 3', { loras: [{ path: 'x', scale: 3 }] }],
    ['Expected true or false for vaeTiling but received 1', { vaeTiling: 1 }],
    ['Expected each LoRA once for loras', { loras: [1, 1].map((scale) => ({ path: 'x', scale })) }],
    [
      'Expected 150528 bytes (224x224 RGB) for reference.pixels but received 3 bytes',
      { reference: { pixels: Buffer.alloc(3), strength: 1 } },
    ],
    [
      'Expected a number from 0 to 1 for strength but received 2',
      { reference: { ...plainReference(1, 2, 3), strength: 2 } },
    ],
  ])('should refuse wrong options: %s', async (message, options) => {
    const told = await failure(options);
    expect(told.code).toBe('invalid_argument');
    expect(told.message).toContain(message);
  });

  it('should give RGB pixels of the size that was asked for, and the time of each phase', () => {
    expect(plain).toMatchObject({ width: 64, height: 64, loras: [] });
    expect(plain.pixels).toHaveLength(64 * 64 * 3);
    const { text, image, sampling, decode, engine } = plain.timings;
    expect(Math.min(text, sampling, decode)).toBeGreaterThan(0);
    expect(image).toBe(0);
    expect(text + sampling + decode).toBeLessThanOrEqual(engine);
  });

  it('should repeat itself byte for byte, and tell every phase and step before it settles', async () => {
    const seen: GenerateProgress[] = [];
    let turns = 0;
    const timer = setInterval(() => turns++, 10);
    const options = { ...SMALL, previews: true };
    const again = await session.generate(options, (progress) => seen.push(progress));
    clearInterval(timer);
    expect(again.pixels.equals(plain.pixels)).toBe(true);
    expect(turns).toBeGreaterThan(20);
    const steps = seen.map(({ phase, step }) => `${phase} ${step}`);
    expect([...new Set(steps)]).toEqual(['text 0', 'sampling 0', 'sampling 1', 'decoding 1']);
    const preview = seen.find((progress) => progress.preview)?.preview;
    expect(preview).toMatchObject({ width: 8, height: 8 });
    expect(preview?.pixels).toHaveLength(8 * 8 * 3);
  });

  it('should begin and end previews while it draws', async () => {
    const seen: string[] = [];
    const switched = await session
      .generate({ ...SMALL, steps: 150, prompt: '' }, ({ phase, step, preview }) => {
        if (phase === 'sampling') seen.push(`${preview ? 'preview' : 'step'} ${step}`);
        if (step === 2) session.watchPreviews(true);
        if (step === 12) session.watchPreviews(false);
        if (step === 24) session.cancel();
      })
      .catch(({ code }: { code: string }) => code);
    expect(switched).toBe('cancelled');
    const previews = seen.filter((line) => line.startsWith('preview')).map((line) => Number(line.slice(8)));
    // A few steps pass until a wish has crossed the threads.
    expect(previews[0]).toBeGreaterThan(2);
    expect(previews[0]).toBeLessThan(12);
    expect(previews.at(-1)).toBeGreaterThanOrEqual(12);
    expect(previews.at(-1)).toBeLessThan(24);
    expect(previews).toEqual(previews.map((_, i) => previews[0] + i));
    expect(seen.indexOf(`step ${previews[0]}`)).toBe(seen.indexOf(`preview ${previews[0]}`) + 1);
  });

  it('should refuse a wish for previews that is neither yes nor no', () => {
    const wish = 'yes' as unknown as boolean;
    expect(() => session.watchPreviews(wish)).toThrow('Expected true or false for on but received "yes"');
  });

  it('should draw another picture for another seed, and with guidance', async () => {
    const other = await session.generate({ ...SMALL, seed: 8 });
    expect(other.pixels.equals(plain.pixels)).toBe(false);
    const guided = await session.generate({ ...SMALL, guidanceScale: 4 });
    expect(guided.pixels.equals(plain.pixels)).toBe(false);
  });

  it('should tell how often the text encoders ran for each prompt, whatever words a prompt holds', async () => {
    const chunks = async (options: Partial<GenerateOptions>) =>
      (await session.generate({ ...SMALL, ...options })).textChunks;
    expect(plain.textChunks).toEqual([1]);
    expect(await chunks({ prompt: 'a '.repeat(76) })).toEqual([2]);
    const prompt = "\ncomputing condition graph completed\nparse ' BREAK sky";
    expect(await chunks({ prompt, negativePrompt: 'a '.repeat(75), guidanceScale: 5 })).toEqual([2, 1]);
  });

  it.each(['karras', 'gits'] as const)('should draw with one step by any schedule: %s', async (scheduler) => {
    const { pixels } = await session.generate({ ...SMALL, scheduler });
    expect(pixels.equals(plain.pixels)).toBe(true);
  });

  it('should decode in tiles, always the same, to nearly the same picture as at once', async () => {
    // Two tiles; what is in the middle of one is at the edge of the other.
    const wide = { ...SMALL, width: 320 };
    const whole = await session.generate(wide);
    const tiled = await session.generate({ ...wide, vaeTiling: true });
    const again = await session.generate({ ...wide, vaeTiling: true });
    expect(again.pixels.equals(tiled.pixels)).toBe(true);
    expect(tiled.pixels.equals(whole.pixels)).toBe(false);
    const distance = whole.pixels.reduce((sum, value, i) => sum + Math.abs(value - tiled.pixels[i]), 0);
    expect(distance / whole.pixels.length).toBeLessThan(8);
    const one = await session.generate({ ...SMALL, vaeTiling: true });
    expect(one.pixels.equals(plain.pixels)).toBe(true);
  });

  it('should refuse a second picture, and a second model, while it draws', async () => {
    const running = session.generate(SMALL);
    await expect(session.generate(SMALL)).rejects.toMatchObject({ code: 'engine_busy' });
    await expect(Session.load({ model: files.checkpoint })).rejects.toMatchObject({ code: 'engine_busy' });
    session.cancel();
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('should stop within a step when cancelled, and draw the next picture as if nothing had been', async () => {
    let last = 0;
    const running = session.generate({ ...SMALL, steps: 150 }, ({ step }) => {
      last = step;
      if (step === 3) session.cancel();
    });
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
    // Steps that the engine made before the cancel reached it; 64x64 steps take tens of milliseconds.
    expect(last).toBeLessThan(20);
    const next = await session.generate(SMALL);
    expect(next.pixels.equals(plain.pixels)).toBe(true);
  });

  describe('with a reference picture', () => {
    it('should draw after it: another reference, another picture', async () => {
      const red = await session.generate({ ...SMALL, reference: plainReference(220, 30, 30) });
      const green = await session.generate({ ...SMALL, reference: plainReference(30, 200, 30) });
      expect(red.timings.image).toBeGreaterThan(0);
      expect(red.pixels.equals(plain.pixels)).toBe(false);
      expect(red.pixels.equals(green.pixels)).toBe(false);
    });
  });

  describe('with LoRAs', () => {
    it('should apply the whole file and draw another picture', async () => {
      const night = await session.generate({ ...SMALL, loras: [{ path: NIGHT_LORA, scale: 1 }] });
      expect(night.loras).toEqual([
        { path: NIGHT_LORA, applied: expect.any(Number) as number, total: expect.any(Number) as number },
      ]);
      expect(night.loras[0].applied).toBe(night.loras[0].total);
      expect(night.loras[0].applied).toBeGreaterThan(0);
      expect(night.pixels.equals(plain.pixels)).toBe(false);
    });

    it('should not take words of a prompt or a file name for the report of the engine', async () => {
      const path = join(folder, 'incompatible (1 of 2).safetensors');
      copyFileSync(NIGHT_LORA, path);
      const prompt =
        'lora_file_path = x) sampling completed, IP-Adapter: 4 image tokens, decode_first_stage completed';
      const { loras, timings } = await session.generate({ ...SMALL, prompt, loras: [{ path, scale: 1 }] });
      expect(loras).toEqual([{ path, applied: 48, total: 48 }]);
      expect(timings.text).toBeGreaterThan(timings.decode);
    });

    it('should tell what of the file fits', async () => {
      const path = join(folder, 'part.safetensors');
      await partlyMatchingLora(path);
      const { loras } = await session.generate({ ...SMALL, loras: [{ path, scale: 1 }] });
      expect(loras[0].applied).toBeGreaterThan(0);
      expect(loras[0].applied).toBeLessThan(6);
    });

    it('should reject one for another model, in place of the plain picture', async () => {
      const path = join(folder, 'other.safetensors');
      await loraForAnotherModel(path);
      expect(await failure({ loras: [{ path, scale: 1 }] })).toEqual({
        code: 'lora_not_applied',
        message: `Nothing of the LoRA ${path} fits the model`,
      });
    });

    it('should reject a file that is not there, and one that is no LoRA', async () => {
      const none = join(folder, 'none.safetensors');
      await writeSafetensors(none, { something: { shape: [2, 2] } });
      for (const path of [join(folder, 'missing.safetensors'), none]) {
        expect((await failure({ loras: [{ path, scale: 1 }] })).code).toBe('lora_not_applied');
      }
    });

    it('should reject a flat picture', async () => {
      // Weights that overflow: NaN everywhere, which the engine paints in one colour and calls a success.
      const path = join(folder, 'overflow.safetensors');
      const layer = loraLayer('output_blocks_5_0_emb_layers_1', 256, 128);
      const overflow = Object.entries(layer).map(([name, { shape, values }]) => [
        name,
        { shape, values: values?.map((value) => (name.endsWith('alpha') ? value : value * 1e30)) },
      ]);
      await writeSafetensors(path, Object.fromEntries(overflow) as typeof layer);
      expect(await failure({ loras: [{ path, scale: 2 }] })).toEqual({
        code: 'flat_picture',
        message: 'The picture is flat: every pixel has the same colour',
      });
      // What one request did must not reach the next.
      expect((await session.generate(SMALL)).pixels.equals(plain.pixels)).toBe(true);
    });
  });

  describe('with LoRAs that are merged into the weights', () => {
    const night = { path: NIGHT_LORA, scale: 1 };
    const whole = { path: NIGHT_LORA, applied: 48, total: 48 };

    it('should prove them also where they are in already, and take them out without a trace', async () => {
      const merging = await Session.load({
        model: files.checkpoint,
        textEncoderType: 'q8_0',
        loraMode: 'merged',
      });
      const first = await merging.generate({ ...SMALL, loras: [night] });
      // The engine says nothing of a LoRA that its weights hold.
      const again = await merging.generate({ ...SMALL, loras: [night] });
      expect([first.loras, again.loras]).toEqual([[whole], [whole]]);
      expect(again.pixels.equals(first.pixels)).toBe(true);
      const without = await merging.generate(SMALL);
      expect(without.pixels.equals(plain.pixels)).toBe(true);
      expect(first.pixels.equals(plain.pixels)).toBe(false);
      const missing = { path: join(folder, 'missing.safetensors'), scale: 1 };
      await expect(merging.generate({ ...SMALL, loras: [missing] })).rejects.toMatchObject({
        code: 'lora_not_applied',
      });
      merging.close();
    });
  });

  it('should reject a reference picture in a session without an IP-Adapter, and end a job whose session closes', async () => {
    const bare = await Session.load({ model: files.checkpoint, textEncoderType: 'q8_0' });
    expect(bare.hasIpAdapter).toBe(false);
    await expect(bare.generate({ ...SMALL, reference: plainReference(1, 2, 3) })).rejects.toMatchObject({
      code: 'ip_adapter_not_applied',
    });
    const identity = { pictures: [plainReference(1, 2, 3).pixels], strength: 1 };
    expect(bare.hasPhotoMaker).toBe(false);
    await expect(bare.generate({ ...SMALL, prompt: 'a fox img', identity })).rejects.toMatchObject({
      ...{ code: 'photo_maker_not_applied', message: 'Pictures of a person need a session with PhotoMaker' },
    });
    const running = bare.generate({ ...SMALL, steps: 150 });
    bare.close();
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
    await expect(bare.generate(SMALL)).rejects.toMatchObject({ code: 'closed' });
    bare.close();
    bare.cancel();
  });
});
