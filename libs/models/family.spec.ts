import { costOf, drawnSize, faceSide, samplingSteps, stepPixels, stepsOf, textPieces } from './family';

describe(costOf.name, () => {
  const cost = (width: number, height: number, steps: number, prompt = 'a fox', negativePrompt = '') =>
    costOf({ width, height, steps, prompt, negativePrompt });

  it('should be ten or so for a picture at the defaults, and a whole number of one at least', () => {
    expect(cost(64, 64, 1)).toBe(1);
    expect(cost(1024, 1024, 30)).toBe(7);
    expect(cost(1024, 1024, 54)).toBe(12);
    expect(cost(2048, 1024, 54)).toBe(24);
  });

  it('should grow with the pictures of a batch, which share the prompts', () => {
    const batch = (count: number, prompt = 'a fox') =>
      costOf({ width: 1024, height: 1024, steps: 54, negativePrompt: '', prompt, count });
    expect(batch(1)).toBe(12);
    expect(batch(4)).toBe(48);
    const long = '\u{1F98A}'.repeat(2000);
    expect(batch(4, long)).toBeLessThan(4 * batch(1, long));
  });

  it('should count a second sampling at its size, and enlarging', () => {
    const picture = { width: 1024, height: 1024, steps: 54, prompt: 'a fox', negativePrompt: '' };
    const hires = { width: 2048, height: 2048, steps: 20, strength: 0.5 };
    // 54 steps of a megapixel, then 21 and what is fixed (6 steps) of four.
    expect(costOf({ ...picture, hires })).toBe(Math.round((54 + 4 * (21 + 6)) / 5));
    expect(costOf({ ...picture, upscaler: {} })).toBe(costOf(picture) + 1);
    expect(costOf({ ...picture, hires, upscaler: {} })).toBe(costOf({ ...picture, hires }) + 4);
  });

  it('should count faces that are painted again, as large as the model draws best or as the picture is', () => {
    const picture = { width: 1024, height: 1024, steps: 54, prompt: '', negativePrompt: '' };
    const faceDetail = { steps: 50, strength: 0.4 };
    expect(costOf({ ...picture, faceDetail })).toBe(Math.round((54 + 6 + 21 + 6) / 5));
    expect(samplingSteps({ ...picture, count: 2, faceDetail })).toBe(2 * (54 + 21));
    expect(
      [
        [64, 64],
        [832, 1216],
        [2048, 2048],
      ].map(([width, height]) => faceSide({ width, height })),
    ).toEqual([64, 960, 1024]);
  });

  it('should grow with the prompts, and hardly with ordinary ones', () => {
    const ordinary = 'an old lighthouse on a cliff above a stormy sea, oil on canvas, muted colours';
    expect(cost(1024, 1024, 30, ordinary, 'blurry, text')).toBe(7);
    const foxes = '\u{1F98A}'.repeat(2000);
    expect(cost(64, 64, 50, foxes)).toBe(4);
    expect(cost(64, 64, 50, foxes, foxes)).toBe(9);
    expect(cost(1024, 1024, 30, foxes, foxes)).toBeGreaterThanOrEqual(14);
  });
});

describe(samplingSteps.name, () => {
  it('should count those of every picture', () => {
    expect(samplingSteps({ steps: 30 })).toBe(30);
    expect(samplingSteps({ steps: 30, count: 4 })).toBe(120);
  });

  it.each([
    [0, 1],
    [0.75, 4],
    [0.3, 2],
    [1, 4],
  ])('should be those that a strength of %d takes', (strength, steps) => {
    expect(samplingSteps({ steps: 4, strength })).toBe(steps);
    expect(samplingSteps({ steps: 4, strength, count: 3 })).toBe(3 * steps);
  });

  it('should count in floats, as the engine does', () => {
    expect(samplingSteps({ steps: 50, strength: 0.7 })).toBe(36);
    expect(samplingSteps({ steps: 100, strength: 0.29 })).toBe(30);
  });
});

describe(stepsOf.name, () => {
  // As seen: 2 and 2 of a strength of 0.5 were told as 5 steps, 2 and 1 as 4.
  it.each([
    [2, 0.5, 3],
    [1, 0.5, 2],
    [10, 0.7, 10],
    [20, 0.7, 20],
    [10, 1, 10],
    [1, 0.01, 2],
    [150, 0.01, 151],
  ])(
    'should tell the steps of the second sampling: of %d with a strength of %d they are %d',
    (...figures) => {
      const [steps, strength, second] = figures;
      expect(stepsOf({ steps: 2, hires: { steps, strength } })).toEqual({ first: 2, second, faces: 0 });
      expect(samplingSteps({ steps: 2, count: 3, hires: { steps, strength } })).toBe(3 * (2 + second));
    },
  );
});

describe(drawnSize.name, () =>
  it('should be that of the second sampling where there is one', () => {
    const size = { width: 64, height: 128 };
    expect(drawnSize({ ...size, ...{ seed: 1 } })).toEqual(size);
    expect(drawnSize({ ...size, hires: { ...{ width: 128, height: 256 }, ...{ steps: 1 } } })).toEqual({
      width: 128,
      height: 256,
    });
  }),
);

describe(textPieces.name, () => {
  it('should count what the prompts can have at most, each its own', () => {
    expect(textPieces('a fox', '')).toBe(2);
    expect(textPieces('x'.repeat(74), 'x'.repeat(75))).toBe(3);
  });

  it('should count tokens, not characters: an emoji has up to four', () =>
    expect(textPieces('\u{1F98A}'.repeat(2000))).toBeGreaterThan(80)); // seen: 80

  it('should know that BREAK begins a piece, which makes hundreds of a short prompt', () => {
    expect(textPieces('a BREAK '.repeat(20))).toBeGreaterThanOrEqual(20); // seen: 20
    expect(textPieces('a BREAKFAST, a breakBREAK')).toBe(1);
  });
});

describe(stepPixels.name, () => {
  it("should be the picture's pixels with ordinary prompts", () => expect(stepPixels(4096, 2)).toBe(4096));

  it('should grow with the pieces by more than what was seen: 14 times for 20 of a picture of 64x64', () =>
    expect(stepPixels(4096, 21) / 4096).toBeGreaterThan(14));
});
