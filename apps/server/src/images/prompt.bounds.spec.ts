import { Config } from '@app/config';
import { assertPrompts } from './prompt.bounds';

describe(assertPrompts.name, () => {
  const refusal = (prompts: object, config = new Config()): unknown => {
    try {
      return assertPrompts(prompts, config);
    } catch (error) {
      return error;
    }
  };

  it.each<[string, string]>([
    ['English', 'a fox, '.repeat(1_428)],
    ['Chinese', '狐'.repeat(10_000)],
    ['emoji', '🦊'.repeat(8_400)],
    ['regions', 'a fox BREAK '.repeat(300)],
    ['nothing', ''],
  ])('should take %s', (_what, text) => {
    expect(refusal({ prompt: text, negative_prompt: text })).toBeUndefined();
    expect(refusal({ prompt: text })).toBeUndefined();
  });

  it('should refuse more characters than are configured, of either, as people count them', () => {
    const config = Object.assign(new Config(), { MAX_PROMPT_LENGTH: 100 });
    expect(refusal({ prompt: '🦊'.repeat(100) }, config)).toBeUndefined();
    for (const field of ['prompt', 'negative_prompt']) {
      expect(refusal({ [field]: '🦊'.repeat(101) }, config)).toMatchObject({
        ...{ code: 'invalid_request', param: field },
        message: `Expected at most 100 characters (MAX_PROMPT_LENGTH) for ${field} but received 101`,
      });
    }
    expect(refusal({ prompt: 'x'.repeat(10_001) })).toMatchObject({ param: 'prompt' });
  });

  it.each([
    ['BREAK', 'BREAK '.repeat(450)],
    ['emoji', '🦊'.repeat(9_000)],
  ])('should refuse what would be read in hundreds of chunks: %s', (_what, prompt) =>
    expect(refusal({ prompt })).toMatchObject({
      ...{ code: 'invalid_request', param: 'prompt' },
      message: expect.stringMatching(/at most 450 chunks of 75 tokens.* may have 48[17]$/) as string,
    }),
  );
});
