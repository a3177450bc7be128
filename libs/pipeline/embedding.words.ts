/** What callers write in place of a word where they mean an embedding, as ComfyUI has it. */
const MEANT = /(?<![\p{L}\p{N}_])embedding:([\p{L}\p{N}._-]+)/giu;

/**
 * What the engine knows an embedding by: it looks for names in every word and would find `cat` in `concatenate`. These are
 * private use characters, which no prompt has.
 */
export const wordOf = (index: number): string => `\uE000${index}\uE001`;

interface Named<E> {
  readonly texts: readonly string[];
  /** Those that the prompts name. */
  readonly named: readonly E[];
  readonly warnings: readonly string[];
}

/** Prompts with the engine's words in place of embeddings' names, which are words of their own, in upper or lower case. */
export function nameEmbeddings<E extends { readonly name: string }>(
  prompts: readonly string[],
  embeddings: readonly E[],
): Named<E> {
  const byName = new Map(embeddings.map(({ name }, index) => [name.toLowerCase(), index]));
  const named = new Set<E>();
  const words = embeddings.length > 0 ? anyOf(embeddings.map(({ name }) => name)) : undefined;
  const texts = prompts.map((prompt) =>
    !words
      ? prompt
      : prompt.replace(words, (_, name: string) => {
          const index = byName.get(name.toLowerCase())!;
          named.add(embeddings[index]);
          return wordOf(index);
        }),
  );
  const unknown = texts.flatMap((text) => [...text.matchAll(MEANT)].map(([, name]) => name));
  return { texts, named: [...named], warnings: [...new Set(unknown)].map(unknownOf) };
}

/** The longest first: one may begin with another. */
function anyOf(names: readonly string[]): RegExp {
  // Names of files as LORA_NAME has them: a dot is all that means something else here.
  const escaped = [...names].sort((a, b) => b.length - a.length).map((name) => name.replaceAll('.', '\\.'));
  return new RegExp(`(?<![\\p{L}\\p{N}_])(?:embedding:)?(${escaped.join('|')})(?![\\p{L}\\p{N}_])`, 'giu');
}

const unknownOf = (name: string) =>
  `There is no embedding "${name}", so it was read as words: GET /v1/embeddings lists those that there are.`;
