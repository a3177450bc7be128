import { nameEmbeddings, wordOf } from './embedding.words';

const THERE = ['night', 'night-sky', 'bad.hands'].map((name) => ({ name }));
const [night, nightSky, badHands] = [0, 1, 2].map(wordOf);

describe(nameEmbeddings.name, () => {
  const read = (prompt: string) => nameEmbeddings([prompt], THERE).texts[0];

  it.each([
    ['night', night],
    ['a fox, NIGHT', `a fox, ${night}`],
    ['Night.', `${night}.`],
    ['(night:1.2), [night]', `(${night}:1.2), [${night}]`],
    ['night\nnight', `${night}\n${night}`],
    ['the longest: night-sky', `the longest: ${nightSky}`],
    ['bad.hands', badHands],
    ['embedding:night', night],
    ['Embedding:bad.hands,', `${badHands},`],
  ])('should find the word in %j', (prompt, text) => expect(read(prompt)).toBe(text));

  it.each(['', 'nightingale', 'midnight', 'night2', '2night', 'night_', 'nightö', 'önight', 'badXhands'])(
    'should leave %j alone, where the engine would find it inside of another word',
    (prompt) => expect(read(prompt)).toBe(prompt),
  );

  it('should tell which embeddings the prompts name', () => {
    expect(nameEmbeddings(['a night-sky', 'bad.hands, NIGHT-SKY'], THERE)).toEqual({
      texts: [`a ${nightSky}`, `${badHands}, ${nightSky}`],
      named: [{ name: 'night-sky' }, { name: 'bad.hands' }],
      warnings: [],
    });
  });

  it('should warn of one that is asked for as an embedding, and is none', () => {
    const { texts, warnings } = nameEmbeddings(['embedding:fog and embedding:night', 'embedding:fog'], THERE);
    expect(texts).toEqual([`embedding:fog and ${night}`, 'embedding:fog']);
    expect(warnings).toEqual([expect.stringMatching(/no embedding "fog".*GET \/v1\/embeddings/)]);
    expect(nameEmbeddings(['night embedding:x'], []).warnings).toHaveLength(1);
  });

  it('should stay within what the engine takes, whatever names there are', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => ({ name: i < 9_999 ? `name${i}` : 'a' }));
    expect(nameEmbeddings(['a '.repeat(1_000)], many).texts[0].length).toBeLessThanOrEqual(8_000);
  });
});
