import { type CardMemory, NEEDS } from './memory.needs';
import { planMemory } from './memory.plan';

const MIB = 2 ** 20;
/** SDXL with IP-Adapter as published. */
const weights = { text: 1_555 * MIB, image: 2_411 * MIB, rest: 5_734 * MIB };
/** A process' context on the stand-in's cards. */
const CONTEXT = 400;
const goal = { width: 1_024, height: 1_024 };

const card = (mib: number, others: Partial<CardMemory> = {}): CardMemory => ({
  ...{ free: (mib - CONTEXT) * MIB, weights, vaeDirectConvolution: true, loras: NEEDS.loras },
  ...others,
});
const auto = (mib: number, others?: Partial<CardMemory>) =>
  planMemory(card(mib, others), { plan: 'auto', goal });

describe(planMemory.name, () => {
  /** What the figures of memory.needs.ts, which were seen over the stand-in, leave to each card (docs/cards.md). */
  it.each([
    [7_680, true, '384x384', '832x832'],
    [8_192, true, '512x512', '1920x1088'],
    [11_264, true, '1024x1024', '1920x1088'],
    [12_288, true, '1024x1024', '1920x1088'],
    [16_384, false, '1024x1024', '1920x1088'],
    [24_576, false, '1920x1088', '1920x1088'],
    [81_559, false, '2048x2048', '2048x2048'],
  ])('should know what a card of %d MiB draws', (mib, offloadEncoders, whole, inTiles) => {
    const pixels = (size: string) => size.split('x').reduce((product, side) => product * Number(side), 1);
    const plan = auto(mib);
    expect(plan.offloadEncoders).toBe(offloadEncoders);
    expect(plan.whole).toBeGreaterThanOrEqual(pixels(whole));
    expect(plan.inTiles).toBeGreaterThanOrEqual(pixels(inTiles));
  });

  it('should not promise what was seen to fail', () => {
    expect(auto(8_192).whole).toBeLessThan(goal.width * goal.height);
    expect(auto(8_192).inTiles).toBeLessThan(1_600 * 1_600);
    expect(auto(7_680).inTiles).toBeLessThan(goal.width * goal.height);
    expect(auto(7_168).inTiles).toBeLessThan(512 * 512);
  });

  it('should decode at most four megapixels at once, however large the card is', () => {
    const { whole, inTiles } = auto(81_559);
    expect(whole).toBe(2_048 * 2_048);
    expect(inTiles).toBeGreaterThan(4_096 * 4_096);
  });

  it('should keep all weights where it is told to, or none of the encoders', () => {
    expect(planMemory(card(12_288), { plan: 'fast', goal }).offloadEncoders).toBe(false);
    expect(planMemory(card(81_559), { plan: 'small', goal }).offloadEncoders).toBe(true);
  });

  it('should ask for more where pictures are decoded without direct convolution', () => {
    expect(auto(16_384, { vaeDirectConvolution: false }).whole).toBeLessThan(auto(16_384).whole);
  });

  it('should set more aside where a LoRA is large', () => {
    expect(auto(12_288, { loras: 900 * MIB }).whole).toBeLessThan(auto(12_288).whole);
  });

  it('should share a card with engines to come where their parts suffice, and take it where not', () => {
    const shared = (mib: number) => planMemory(card(mib), { plan: 'auto', goal, others: 1 });
    expect(shared(81_559).leaves).toBe(Math.ceil(((81_559 - CONTEXT) * MIB) / 2));
    expect(shared(24_576)).toMatchObject({ offloadEncoders: true });
    expect(shared(12_288).leaves).toBe(0);
  });

  it('should leave to other engines what they may take', () => {
    const promised = 12_288 * MIB;
    expect(auto(24_576, { promised })).toEqual({ ...auto(12_288), leaves: promised });
    expect(() => auto(12_288, { promised: 12_288 * MIB })).toThrow(
      /0\.0 GB are free beside what other engines/,
    );
  });

  it('should say what it does', () => {
    expect(auto(12_288).sentence).toBe(
      '12.5 GB free: the encoders go to the card for each picture; pictures up to 1088x1088 are decoded at once, up to 3136x3136 in tiles',
    );
  });

  it('should refuse a model that does not fit, with what would', () => {
    expect(() => auto(6_144)).toThrow(
      /^out of memory: the model needs 6\.\d GB of the card, and 6\.0 GB are free/,
    );
    expect(() => planMemory(card(8_192), { plan: 'fast', goal })).toThrow(/VRAM_PLAN=auto needs less$/);
  });
});
