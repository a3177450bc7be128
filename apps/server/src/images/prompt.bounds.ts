import type { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { textPieces } from '@app/models/family';

/**
 * Chunks of 75 tokens that a prompt may have at most, counted as if each byte were a token: 32,000 English characters, 10,000
 * Chinese ones. Every sampling step looks at all of them: so many make it four times the work at 1024x1024.
 */
const MOST_CHUNKS = 450;

/** Refuses prompts that are too much for one picture. `prompt`: as it is drawn, with the words of a style or template. */
export function assertPrompts(
  prompts: Readonly<Partial<Record<'prompt' | 'negative_prompt', string>>>,
  { MAX_PROMPT_LENGTH: most }: Pick<Config, 'MAX_PROMPT_LENGTH'>,
): void {
  for (const [field, text = ''] of Object.entries(prompts)) {
    const refuse = (bound: string, received: string) => {
      const sentence = `Expected at most ${bound} for ${field} but received ${received}`;
      throw new ServiceError('invalid_request', sentence, field);
    };
    const length = [...text].length;
    if (length > most) refuse(`${most} characters (MAX_PROMPT_LENGTH)`, `${length}`);
    const chunks = textPieces(text);
    if (chunks > MOST_CHUNKS)
      refuse(
        `${MOST_CHUNKS} chunks of 75 tokens, each BREAK beginning one,`,
        `a text that may have ${chunks}`,
      );
  }
}
