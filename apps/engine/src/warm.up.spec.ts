import { warmUpPicture } from './warm.up';

describe(warmUpPicture.name, () => {
  const CUDA = { name: 'CUDA0' };

  it('should be as large on CUDA as it takes to compile what users need, with a reference picture', () => {
    const { width, height, reference } = warmUpPicture(CUDA, true, undefined);
    expect([width, height]).toEqual([256, 256]);
    expect(reference?.pixels).toHaveLength(224 * 224 * 3);
    expect(warmUpPicture(CUDA, false, undefined)).not.toHaveProperty('reference');
  });

  it.each([
    [2_048 * 2_048, 256],
    [200 * 200, 192],
    [64 * 64, 64],
  ])('should fit a plan of %d pixels', (whole, side) => {
    expect(warmUpPicture(CUDA, true, { whole })).toMatchObject({ width: side, height: side });
  });

  it.each(['Vulkan0', 'CPU'])('should be as small as can be on %s', (name) => {
    const picture = warmUpPicture({ name }, true, undefined);
    expect(picture).toMatchObject({ width: 64, height: 64, steps: 1 });
    expect(picture).not.toHaveProperty('reference');
  });
});
