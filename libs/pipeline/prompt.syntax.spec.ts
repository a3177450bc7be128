import { boundWeights, readPrompts } from './prompt.syntax';

const FIFTY = '1'.repeat(50);
const TINY = `0.${'0'.repeat(48)}1`;

describe(boundWeights.name, () => {
  it.each([
    ['a red fox', 'no weight'],
    ['a (red) [fox]', 'brackets alone'],
    ['(red:1.3) and [blue]', 'a weight'],
    ['(red:-1) (blue:10) (green:0.5)', 'any number within the bounds'],
    ['((((((((red))))))))', 'brackets as deep as they count'],
    [`red:.) red:${FIFTY})`, 'what closes nothing, and so is no weight'],
    [String.raw`\(red:.\) \[x\]`, 'escapes'],
    [`(red:1:2e3) (red: .) (red:٣) a:b`, 'what is no weight'],
    ['a ) ] BREAK (', 'whatever does not match'],
    ['', 'nothing'],
  ])('should leave %j: %s', (prompt) =>
    expect(boundWeights(prompt)).toEqual({ text: prompt, bounded: false }),
  );

  it.each([
    ['(red:+1.30)', '(red:1.3)'],
    ['(red:1.1000000000000001)', '(red:1.1)'],
    ['(red:2.) (blue:.5)', '(red:2) (blue:0.5)'],
    [`(red:${TINY})`, '(red:0)'],
    [`(red:1.${'0'.repeat(50)})`, '(red:1)'],
  ])('should write %j in few digits: %j', (prompt, text) =>
    expect(boundWeights(prompt)).toEqual({ text, bounded: false }),
  );

  it.each([
    ['a (red:.) fox', 'a (red:. ) fox'],
    ['(red:-.)', '(red:-. )'],
    ['(red:..)', '(red:.. )'],
    ['(red:1.2.3)', '(red:1.2.3 )'],
    ['(:.)', '(:. )'],
    [`(red:${FIFTY})`, '(red:10)'],
    [`(red:-${FIFTY})`, '(red:-10)'],
    [`(red:.${FIFTY}) (red:11)`, `(red:0.111111) (red:10)`],
    ['(((((((((red)))))))))', '(((((((( red ))))))))'],
    ['(((((((((red:3):2)))))))', '(((((((( red :2)))))))'],
    ['[[[[[[[[[red]]]]]]]]]', '[[[[[[[[ red ]]]]]]]]'],
    [`((((((((a)[[[[[[[[:${FIFTY}[)`, `((((((((a)[[[[[[[[:${FIFTY} )`],
    [String.raw`(\(:.)`, String.raw`(\(:. )`],
  ])('should bound %j: %j', (prompt, text) => expect(boundWeights(prompt)).toEqual({ text, bounded: true }));

  it('should leave no weight that an engine throws at, whatever comes together', () => {
    const parts = ['(', ')', '[', ']', ':', '.', '-', '9'.repeat(40), '\\', 'a', ' ', ':1)'];
    // A small generator with a seed of its own: the same prompts every time.
    let state = 1;
    const next = () => (state = (state * 48_271) % 2_147_483_647);
    for (let round = 0; round < 2_000; round++) {
      const prompt = Array.from({ length: 40 }, () => parts[next() % parts.length]).join('');
      const { text } = boundWeights(prompt);
      expect([prompt, boundWeights(text)]).toEqual([prompt, { text, bounded: false }]);
    }
  });
});

describe(readPrompts.name, () => {
  it.each(['<lora:night:1>', 'a fox <LORA:film-grain>', '<lyco:x:0.5>', '<hypernet:x:1>'])(
    'should tell of %s which field applies LoRAs, and leave it',
    (prompt) => {
      const told = { texts: [prompt, ''], warnings: [expect.stringContaining('the field loras') as string] };
      expect(readPrompts(prompt, '')).toEqual(told);
      expect(readPrompts('', prompt)).toEqual({ ...told, texts: ['', prompt] });
    },
  );

  it.each(['a fox', 'lora:night:1', '<lora>', 'a <b> c:1'])('should tell nothing of %s', (prompt) =>
    expect(readPrompts(prompt, prompt)).toEqual({ texts: [prompt, prompt], warnings: [] }),
  );

  it('should tell once what both prompts have', () =>
    expect(readPrompts('(a:99) <lora:b>', '(a:.) <lora:c>').warnings).toHaveLength(2));
});
