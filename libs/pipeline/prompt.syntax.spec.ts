import { prompts } from '../../test/support/prompt.mutations';
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

  it('should leave nothing that an engine throws at, nor weights that overflow, whatever comes together', () => {
    const next = prompts(1);
    const wrong = Array.from({ length: 10_000 }, next).filter((prompt) => {
      const { text } = boundWeights(prompt);
      const again = boundWeights(text);
      const small = weightsAsRead(text).every((weight) => Math.abs(weight) < 1e20);
      return again.bounded || again.text !== text || !small;
    });
    expect(wrong).toEqual([]);
  });

  it.each(['(red:.)', `(red:${FIFTY})`, `(red:${TINY})`])(
    'should be measured by a reader that throws as engines do: %s',
    (prompt) => expect(() => weightsAsRead(prompt)).toThrow(/^stof/),
  );

  it('should be measured by a reader that multiplies as engines do', () =>
    expect(weightsAsRead(String.raw`((a:2) [b])\(c:3)`)).toEqual(
      [2, 1, 1 / 1.1].map((x) => x * 1.1).concat(1, 1, 1),
    ));
});

/** The weights of stable-diffusion.cpp (parse_prompt_attention), which C++'s stof reads and throws at. */
function weightsAsRead(prompt: string): number[] {
  const token = /\\\(|\\\)|\\\[|\\\]|\\\\|\\|\(|\[|:([+-]?[.\d]+)\)|\)|\]|\bBREAK\b|[^\\()[\]:B]+|:|\bB|B/g;
  const weights: number[] = [];
  const open: Record<string, number[]> = { '(': [], '[': [] };
  const multiply = (from: number, by: number) => {
    for (let i = from; i < weights.length; i++) weights[i] *= by;
  };
  for (const [text, weight] of prompt.matchAll(token)) {
    if (text === '(' || text === '[') open[text].push(weights.length);
    else if (weight !== undefined && open['('].length > 0) multiply(open['('].pop()!, stof(weight));
    else if (text === ')' && open['('].length > 0) multiply(open['('].pop()!, 1.1);
    else if (text === ']' && open['['].length > 0) multiply(open['['].pop()!, 1 / 1.1);
    else weights.push(1);
  }
  for (const from of open['(']) multiply(from, 1.1);
  for (const from of open['[']) multiply(from, 1 / 1.1);
  return weights;
}

function stof(text: string): number {
  const [number] = /^[+-]?(\d+\.?\d*|\.\d+)/.exec(text) ?? [];
  if (number === undefined) throw new Error('stof: no conversion');
  const value = Math.abs(Number(number));
  const beyond = value > 3.4028235e38 || (value < 1.17549435e-38 && /[1-9]/.test(number));
  if (beyond) throw new Error('stof: out of range');
  return Number(number);
}

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
