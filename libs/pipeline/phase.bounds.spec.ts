import { PhaseBounds, phaseFrom, sizeOf } from './phase.bounds';

describe(PhaseBounds.name, () => {
  let bounds: PhaseBounds;
  beforeEach(() => (bounds = new PhaseBounds(600_000)));

  it('should give PHASE_TIMEOUT to a phase that was never seen to end, whatever others took', () => {
    bounds.note('text', 5_000, 2);
    expect(bounds.of('decoding', 4096)).toBe(600_000);
  });

  it('should give more of it to a step, an encoding and a decoding of more than a megapixel, as they take more', () => {
    for (const phase of ['image', 'step', 'decoding'] as const) {
      expect(bounds.of(phase, 2 * 1024 * 1024)).toBe(1_200_000);
      expect(bounds.of(phase, 512 * 512)).toBe(600_000);
    }
    expect(bounds.of('loading', 2 * 1024 * 1024)).toBe(600_000);
  });

  it('should give ten times the measured p99, and no less than 30 s', () => {
    bounds.note('image', 2_000, 4096);
    expect(bounds.of('image', 4096)).toBe(30_000);
    bounds.note('image', 8_000, 4096);
    expect(bounds.of('image', 4096)).toBe(80_000);
  });

  it('should take the p99: one in two hundred that stuttered does not count, three do', () => {
    for (let i = 0; i < 199; i++) bounds.note('text', 4_000, 1);
    bounds.note('text', 60_000, 1);
    expect(bounds.of('text', 1)).toBe(40_000);
    for (let i = 0; i < 2; i++) bounds.note('text', 60_000, 1);
    expect(bounds.of('text', 1)).toBe(600_000);
  });

  it('should scale steps, encoding and decoding with the pixels', () => {
    for (const phase of ['step', 'decoding', 'image'] as const) bounds.note(phase, 4_000, 1_000);
    expect(bounds.of('step', 3_000)).toBe(120_000);
    expect(bounds.of('decoding', 2_000)).toBe(80_000);
    expect(bounds.of('step', 10)).toBe(30_000);
    expect(bounds.of('image', 3_000)).toBe(120_000);
  });

  it('should scale with the prompts: long ones are no hung engine', () => {
    const picture = { width: 64, height: 64, steps: 4, guidanceScale: 5, seed: 1 };
    const size = (phase: 'text' | 'step' | 'decoding', prompt: string, negativePrompt = '') =>
      sizeOf(phase, { ...picture, prompt, negativePrompt });
    for (const phase of ['text', 'step', 'decoding'] as const)
      bounds.note(phase, 6_000, size(phase, 'a fox'));
    const bound = (phase: 'text' | 'step' | 'decoding', ...prompts: [string, string?]) =>
      bounds.of(phase, size(phase, ...prompts));
    const foxes = '\u{1F98A}'.repeat(2000); // of which each is several tokens
    for (const phase of ['text', 'step', 'decoding'] as const) expect(bound(phase, 'a fox')).toBe(60_000);
    expect(bound('text', foxes)).toBeGreaterThan(50 * 60_000);
    expect(bound('text', foxes, foxes)).toBeGreaterThan(100 * 60_000);
    expect(bound('text', 'a BREAK '.repeat(250))).toBeGreaterThan(120 * 60_000);
    // Every step computes with all of it, also where the picture is small; decoding knows nothing of prompts.
    expect(bound('step', foxes)).toBeGreaterThan(100 * 60_000);
    expect(bound('decoding', foxes)).toBe(60_000);
  });

  it('should give the encoding time by the pixels of all that is encoded', () => {
    const picture = { prompt: 'a fox', width: 512, height: 512, steps: 1, guidanceScale: 5, seed: 0 };
    const [reference, image] = [1, 1].map(() => ({ pixels: Buffer.alloc(0), strength: 1 }));
    const size = (more: object) => sizeOf('image', { ...picture, ...more });
    expect(size({ reference })).toBe(224 * 224);
    expect(size({ image })).toBe(512 * 512);
    expect(size({ image, mask: Buffer.alloc(0) })).toBe(2 * 512 * 512);
    expect(size({ image, reference })).toBe(512 * 512 + 224 * 224);
  });

  it('should give the decoding time for each picture of a batch, and a step no more', () => {
    const picture = { prompt: 'a fox', width: 64, height: 64, steps: 1, guidanceScale: 5, seed: 0 };
    const batch = { ...picture, count: 4 };
    expect(sizeOf('decoding', batch)).toBe(4 * sizeOf('decoding', picture));
    expect(sizeOf('step', batch)).toBe(sizeOf('step', picture));
    expect(sizeOf('text', batch)).toBe(sizeOf('text', picture));
  });

  it('should give a step the time of its own size, before and after a picture became larger', () => {
    const picture = { prompt: 'a fox', width: 64, height: 64, steps: 3, guidanceScale: 5, seed: 0, count: 2 };
    const hires = { width: 128, height: 128, steps: 2, strength: 1, upscaler: 'Latent' } as const;
    const sizes = [0, 5, 6, 9].map((step) => sizeOf('step', { ...picture, hires }, step));
    expect(sizes).toEqual([64 * 64, 64 * 64, 128 * 128, 128 * 128]);
    expect(sizeOf('decoding', { ...picture, hires })).toBe(2 * 128 * 128);
  });

  it('should know enlarging for what it is, which may take longer than any step', () => {
    const picture = { prompt: 'a fox', width: 64, height: 64, steps: 3, guidanceScale: 5, seed: 0, count: 2 };
    const hires = { width: 128, height: 128, steps: 2, strength: 1 };
    const sampled = (options: object) =>
      Array.from({ length: 11 }, (_, step) =>
        phaseFrom({ phase: 'sampling', step }, { ...picture, ...options }),
      )
        .map((phase, step) => (phase === 'upscaling' ? step : -1))
        .filter((step) => step >= 0);
    expect(sampled({})).toEqual([]);
    expect(sampled({ hires: { ...hires, upscaler: 'Latent (nearest)' } })).toEqual([]);
    // Before the second sampling of each of the two.
    for (const by of [{ upscaler: 'Lanczos' }, { model: '/sharp.safetensors' }])
      expect(sampled({ hires: { ...hires, ...by } })).toEqual([6, 8]);
    const decoding = { phase: 'decoding', step: 6 } as const;
    expect(phaseFrom(decoding, picture)).toBe('decoding');
    const enlarged = { ...picture, upscaler: '/sharp.safetensors' };
    expect(phaseFrom(decoding, enlarged)).toBe('upscaling');
    expect(sizeOf('upscaling', enlarged, 6)).toBe(2 * 64 * 64);
    expect(sizeOf('upscaling', { ...picture, hires: { ...hires, model: '/x' } }, 6)).toBe(128 * 128);
    bounds.note('decoding', 4_000, 1_000);
    expect(bounds.of('upscaling', 2 * 1024 * 1024)).toBe(1_200_000);
  });

  it('should give six times as much to the phases of a picture on a CPU', () => {
    bounds.onCpu = true;
    for (const phase of ['text', 'image', 'step', 'decoding'] as const) {
      expect(bounds.of(phase, 2)).toBe(3_600_000);
    }
    for (const phase of ['starting', 'loading', 'warming'] as const) {
      expect(bounds.of(phase, 1)).toBe(600_000);
    }
    bounds.note('image', 8_000, 1);
    expect(bounds.of('image', 1)).toBe(80_000);
  });

  it('should follow the newest measurements', () => {
    bounds.note('text', 60_000, 1);
    for (let i = 0; i < 200; i++) bounds.note('text', 4_000, 1);
    expect(bounds.of('text', 1)).toBe(40_000);
  });

  it('should give a load that was too slow its PHASE_TIMEOUT again, and a picture not', () => {
    for (const phase of ['loading', 'text'] as const) {
      bounds.note(phase, 2_000, 1);
      bounds.exceeded(phase);
    }
    expect(bounds.of('loading', 1)).toBe(600_000);
    expect(bounds.of('text', 1)).toBe(30_000);
  });
});
