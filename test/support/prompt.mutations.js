/** Prompts as people and machines write them, right and wrong, the same ones for the same seed: for a spec and for `npm run check:prompts`. */

const WORDS = ['a fox', 'red', 'watercolour', 'B', 'BREAK', 'AND', 'sunset:', 'x:1', '1girl', 'e\u0301'];
const SIGNS = [
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  '<',
  '>',
  ':',
  '.',
  ',',
  '|',
  '\\',
  '\\(',
  '\\]',
  '\\\\',
  '"',
  '%',
  '&',
];
const NUMBERS = [
  '1',
  '-',
  '+',
  '.',
  '0.5',
  '1.2.3',
  '1e9',
  '٣',
  '9'.repeat(50),
  `.${'0'.repeat(50)}1`,
  '-0',
  '00',
];
const CLOSINGS = [
  ':1.2)',
  ':.)',
  ':-)',
  ':-.5)',
  ':)',
  ':1e5)',
  ': 1)',
  ':99999)',
  `:${'9'.repeat(50)})`,
  ':1])',
];
const LETTERS = [
  '狐',
  'лиса',
  'ثعلب',
  'שועל',
  '\u{1f98a}',
  '\u{1f468}\u200d\u{1f680}',
  '\u200b',
  '\u202e',
  '\u00a0',
  '\ufeff',
];
const BLANKS = [' ', '  ', '\n', '\r\n', '\t', '\n\n', '\u3000'];
const TAGS = [
  '<lora:night:1>',
  '<lora:x',
  'embedding:easy',
  '[fox:dog:0.5]',
  '{a|b}',
  '((',
  '))',
  '[[',
  ']]',
  '((((((((((',
];

/** Most parts of a prompt; a part has at most 52 characters, and a prompt may have 2,000. */
const MOST_PARTS = 36;

/**
 * @param {number} seed
 * @param {number} [most] parts of a prompt
 * @returns {() => string} the next prompt
 */
exports.prompts = (seed, most = MOST_PARTS) => {
  let state = (seed % 2_147_483_646) + 1;
  /** @param {number} n */
  const below = (n) => (state = (state * 48_271) % 2_147_483_647) % n;
  /** @template T @param {readonly T[]} list */
  const one = (list) => list[below(list.length)];
  const kinds = [WORDS, SIGNS, NUMBERS, CLOSINGS, LETTERS, BLANKS, TAGS];
  return () => {
    // Some prompts are of a few kinds only: of signs alone, say.
    const some = kinds.filter(() => below(2) === 0);
    const from = some.length > 0 ? some : kinds;
    const length = 1 + below(most);
    return Array.from({ length }, () => one(one(from))).join('');
  };
};
