import { type CardMemory, lorasOf, NEEDS, peakOf, type PictureMemory } from './memory.needs';

const MIB = 2 ** 20;
/** A process' context on the stand-in's cards. */
const CONTEXT = 400;
const TILED = { inTiles: true, decodedBefore: 0 };

/** SDXL with IP-Adapter as published. */
const card = (mib: number): CardMemory => ({
  free: (mib - CONTEXT) * MIB,
  weights: { text: 1_555 * MIB, image: 2_411 * MIB, rest: 5_734 * MIB },
  ...{ vaeDirectConvolution: true, loras: NEEDS.loras },
});

describe(peakOf.name, () => {
  /** Peaks in MiB that were seen over the stand-in: card, offloaded encoders, picture. */
  it.each<[number, number, boolean, number, Partial<PictureMemory>]>([
    [11_202, 81_559, false, 512 * 512, {}],
    [14_468, 81_559, false, 1_024 * 1_024, {}],
    [14_630, 81_559, false, 1_024 * 1_024, { loras: true }],
    [16_807, 81_559, false, 1_536 * 1_024, { loras: true }],
    [18_786, 81_559, false, 1_920 * 1_088, {}],
    [11_221, 81_559, false, 1_920 * 1_088, TILED],
    [18_695, 81_559, false, 4_096 * 4_096, TILED],
    [7_709, 12_288, true, 512 * 512, {}],
    [8_574, 12_288, true, 512 * 512, { reference: true }],
    [9_582, 81_559, true, 512 * 512, { reference: true, decodedBefore: 1_920 * 1_088 }],
    [7_674, 8_192, true, 1_920 * 1_088, { ...TILED, reference: true }],
  ])('should tell the peak of %d MiB', (seen, mib, offload, pixels, others) => {
    const usual = { pixels, inTiles: false, reference: false, loras: false, decodedBefore: 0 };
    const told = CONTEXT + peakOf(card(mib), offload, { ...usual, ...others }) / MIB;
    expect(Math.abs(told / seen - 1)).toBeLessThan(0.01);
  });
});

describe(lorasOf.name, () => {
  it('should set aside what the largest LoRA takes, and not less than usual ones do', () => {
    expect([undefined, 0, 40 * MIB, 900 * MIB].map((loras) => lorasOf({ loras }) / MIB)).toEqual([
      0, 200, 200, 900,
    ]);
  });
});
