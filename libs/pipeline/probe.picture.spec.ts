import { kindOf, probePicture, type PictureKind } from './probe.picture';

describe(probePicture.name, () => {
  const kind = (width: number, height: number): PictureKind => ({ width, height, reference: false });

  it('should be one step of the kind that failed', () => {
    const reference = { pixels: Buffer.alloc(3), strength: 1 };
    const failed = { prompt: 'a secret', width: 1_024, height: 768, steps: 50, guidanceScale: 1, seed: 7 };
    const picture = probePicture(kindOf({ ...failed, vaeTiling: true, reference }), false);
    expect(picture).toMatchObject({ prompt: 'probe', width: 1_024, height: 768, steps: 1, vaeTiling: true });
    expect(picture.reference?.pixels).toHaveLength(224 * 224 * 3);
    expect(probePicture(kindOf(failed), false).reference).toBeUndefined();
  });

  it.each([
    [kind(64, 64), 64, 64],
    [kind(256, 256), 256, 256],
    [kind(1_024, 1_024), 256, 256],
    [kind(4_096, 64), 1_024, 64],
  ])('should be small on a processor, in the shape of %o', (failed, width, height) => {
    expect(probePicture(failed, true)).toMatchObject({ width, height });
  });
});
