import { readLoraTags } from './lora.tags';

describe(readLoraTags.name, () => {
  it.each([
    ['a fox', 'a fox', []],
    [' a fox ', ' a fox ', []],
    ['a fox <lora:night:0.8>', 'a fox', [['night', 0.8]]],
    ['<lora:night> a fox', 'a fox', [['night', 1]]],
    ['a <LORA:film-grain_v1.2:-0.5>fox', 'a fox', [['film-grain_v1.2', -0.5]]],
    [
      '<lora:a:1><lora:b:.5>x',
      'x',
      [
        ['a', 1],
        ['b', 0.5],
      ],
    ],
    ['<lora:a:0.5>x<lora:a:0.25>', 'x', [['a', 0.75]]],
    ['<lora:a:0.7:0.7>x', 'x', [['a', 0.7]]],
    ['<lyco:a:1>x', 'x', [['a', 1]]],
    ['<hypernet:a:1> <b:1> a < b > c', '<hypernet:a:1> <b:1> a < b > c', []],
    ['a <lora:', 'a <lora:', []],
  ] as const)('should read %p', (text, prompt, loras) => {
    expect(readLoraTags(text)).toEqual({ prompt, loras: loras.map(([name, scale]) => ({ name, scale })) });
  });

  it.each(['<lora:a:>', '<lora:a:x>', '<lora:a:1:0.5>', '<lora:a:1e999>', '<lora:a:te=1>'])(
    'should refuse %s, which the engine cannot apply',
    (tag) => {
      const refusal = {
        code: 'invalid_request',
        param: 'prompt',
        message: expect.stringContaining(tag) as string,
      };
      expect(() => readLoraTags(`a fox ${tag}`)).toThrow(expect.objectContaining(refusal) as Error);
    },
  );

  it('should take a hostile prompt in time that grows with its length only', () => {
    const text = '<lora:'.repeat(20_000);
    expect(readLoraTags(text)).toEqual({ prompt: text, loras: [] });
  });
});
