/*
 * What the engine reads in a prompt: `(red:1.3)` counts more, `[red]` less. Engines throw at a weight that is no number or
 * has fifty digits, and products of many weights overflow, which paints the picture in one colour.
 */

/** Largest weight, in either direction. */
const MOST = 10;
/** Brackets of a kind inside each other that count. */
const DEEPEST = 8;
/** An escape, which opens and closes nothing; a bracket; or one that closes with a weight. */
const TOKEN = /\\[\\()[\]]|[()[\]]|:([+-]?[.\d]+)\)/g;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)$/;
/** As other programs take LoRAs, and what else goes by a file. */
const FILE_TAG = /<(lora|lyco|hypernet):[^<>]*>/i;

const BOUNDED = `Weights in a prompt are numbers from -${MOST} to ${MOST}, in brackets at most ${DEEPEST} deep: what went beyond was taken as the nearest, and what is no number as words.`;
const TAGGED =
  'A prompt holds a tag such as <lora:NAME:1>, which is read as words here: the field loras applies LoRAs, by name and scale.';

/** Prompts as the engine can take them, and sentences for the caller about what may not mean what they expect. */
export function readPrompts(...prompts: readonly string[]): { texts: string[]; warnings: string[] } {
  const read = prompts.map(boundWeights);
  const warnings = [
    ...(read.some(({ bounded }) => bounded) ? [BOUNDED] : []),
    ...(prompts.some((prompt) => FILE_TAG.test(prompt)) ? [TAGGED] : []),
  ];
  return { texts: read.map(({ text }) => text), warnings };
}

/**
 * What long prompts cost: how often the text encoders ran, for the prompt and the negative prompt. The engine counts: how
 * many tokens a text has, it alone knows.
 */
export const chunkWarnings = (chunks: readonly number[]): string[] =>
  chunks.flatMap((count, i) => {
    const prompt = i === 0 ? 'prompt' : 'negative prompt';
    return count > 1
      ? `The ${prompt} was read in ${count} chunks, each of which takes time in every step: the text encoders read 75 tokens at once, and BREAK begins a chunk.`
      : [];
  });

/** The prompt with weights that every engine survives; `bounded`: it means something else now. */
export function boundWeights(prompt: string): { text: string; bounded: boolean } {
  const depth = { '(': 0, '[': 0 };
  let bounded = false;
  const otherwise = (text: string) => {
    bounded = true;
    return text;
  };
  const text = prompt.replace(TOKEN, (token, weight?: string) => {
    if (token.startsWith('\\')) return token;
    const kind = token === '[' || token === ']' ? '[' : '(';
    const opens = token === kind;
    if (opens) depth[kind]++;
    const level = depth[kind];
    if (!opens && level > 0) depth[kind]--;
    // A blank: what is around must not grow together to a weight.
    if (level > DEEPEST) return otherwise(' ');
    if (weight === undefined || level === 0) return token;
    if (!NUMBER.test(weight)) return otherwise(`:${weight} )`);
    const nearest = Math.min(MOST, Math.max(-MOST, Number(weight)));
    // In few digits: engines throw at a number too small for them, too.
    const closing = `:${Number(nearest.toFixed(6))})`;
    return nearest === Number(weight) ? closing : otherwise(closing);
  });
  return { text, bounded };
}
