import type { Generated, GenerateOptions } from '#native';
import { warmUp, warmUps, type Paths } from './warm.up';

const CUDA = { name: 'CUDA0', gpu: true };
const ALL: Paths = {
  ipAdapter: true,
  photoMaker: true,
  lora: { name: 'night', path: '/loras/night.safetensors' },
};
const NONE: Paths = { ipAdapter: false, photoMaker: false };

describe(warmUps.name, () => {
  it('should go through each configured path, as large on CUDA as it takes to compile what users need', () => {
    const pictures = warmUps(CUDA, ALL, undefined);
    expect(pictures.map(({ path, isVital }) => [path, isVital])).toEqual([
      [undefined, true],
      ['the IP-Adapter', true],
      ['PhotoMaker', true],
      ['the LoRA "night"', false],
    ]);
    for (const { options } of pictures) expect(options).toMatchObject({ width: 256, height: 256, steps: 1 });
    expect(pictures[1].options.reference?.pixels).toHaveLength(224 * 224 * 3);
    expect(pictures[2].options.identity?.pictures).toHaveLength(1);
    expect(pictures[3].options.loras).toEqual([{ path: '/loras/night.safetensors', scale: 1 }]);
    expect(warmUps(CUDA, NONE, undefined)).toHaveLength(1);
  });

  it.each([
    [2_048 * 2_048, 256],
    [200 * 200, 192],
    [64 * 64, 64],
  ])('should fit a plan of %d pixels', (whole, side) => {
    for (const { options } of warmUps(CUDA, ALL, { whole }))
      expect(options).toMatchObject({ width: side, height: side });
  });

  it('should be as small as can be on other cards, and nothing on a processor', () => {
    const [text] = warmUps({ name: 'Vulkan0', gpu: true }, ALL, undefined);
    expect(text.options).toMatchObject({ width: 64, height: 64, steps: 1 });
    expect(warmUps({ name: 'CPU', gpu: false }, ALL, undefined)).toEqual([]);
  });
});

describe(warmUp.name, () => {
  /** Fails the pictures that have this option. */
  const run = async (failing: keyof GenerateOptions | undefined, code = 'generation_failed') => {
    const told: string[] = [];
    const generate = (options: GenerateOptions) =>
      failing && options[failing] !== undefined
        ? Promise.reject(Object.assign(new Error('no kernel'), { code }))
        : Promise.resolve({} as Generated);
    const warming = (path = 'text') => told.push(path);
    const warn = (line: string) => told.push(`warned: ${line}`);
    await warmUp({ generate }, warmUps(CUDA, ALL, undefined), { warming, warn }).catch((error: Error) =>
      told.push(`failed: ${error.message}`),
    );
    return told;
  };
  const every = ['text', 'the IP-Adapter', 'PhotoMaker', 'the LoRA "night"'];

  it('should say what it tries', async () => {
    expect(await run(undefined)).toEqual(every);
  });

  it('should name the vital path that fails, and the LoRA that does', async () => {
    expect(await run('prompt')).toEqual(['text', 'failed: The warm-up picture failed: no kernel']);
    expect(await run('reference')).toEqual([
      ...every.slice(0, 2),
      'failed: The warm-up picture with the IP-Adapter failed: no kernel',
    ]);
    expect(await run('loras')).toEqual([
      ...every,
      'warned: The warm-up picture with the LoRA "night" failed: no kernel',
    ]);
  });

  it('should take a flat picture, which one step may well give', async () => {
    expect(await run('prompt', 'flat_picture')).toEqual(every);
  });
});
