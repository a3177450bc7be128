/** What an editor, a copied page or `docker --env-file` leaves in a value, and nobody sees; and what no shell replaced. */

/** Blanks but the plain ones, and everything that has no shape at all. Line breaks and tabs are seen, inside a value. */
const INVISIBLE = /(?![ \t\r\n])[\p{Z}\p{Cc}\p{Cf}]/u;
/** Joiners make emoji and Persian, and Japanese has a blank of its own: a prompt may hold them. */
const INVISIBLE_IN_PROMPTS = /(?![ \t\r\n\u200c\u200d\u3000])[\p{Z}\p{Cc}\p{Cf}]/u;
const PROMPTS = ['MEMORY_PROMPT_TEMPLATE', 'SUBJECT_PROMPT', 'NEGATIVE_PROMPT'];
const QUOTED = /^(["'`]).*\1$|^[“„«‘].*[”“»’]$/su;

/** Variables that name a file or a folder here, and what only a shell makes one of. */
const PATHS = /_(PATH|FILE|DIR|HOME|CACHE)$/;
const UNREPLACED = /^~|\$\{?\w/;

const NAMES: Record<string, string> = {
  '\u00a0': 'a no-break space',
  '\u200b': 'a zero-width space',
  '\ufeff': 'a byte-order mark',
};

/** The sentence that says so, with the variable's name and never its value; undefined: nothing is hidden. */
export function hiddenProblem(name: string, value: string): string | undefined {
  const [character] = (PROMPTS.includes(name) ? INVISIBLE_IN_PROMPTS : INVISIBLE).exec(value) ?? [];
  if (character) {
    const code = `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
    const what = NAMES[character] ?? 'a character';
    return `${name} must not hold ${what} (${code}), which cannot be seen: type the value anew`;
  }
  // JSON may end in a line break, as files do.
  if (name !== 'API_KEYS' && value.trim() !== value)
    return `${name} must not begin or end with a blank or a line break`;
  if (QUOTED.test(value)) return `${name} must not be wrapped in quotes: they would be part of the value`;
  if (PATHS.test(name) && UNREPLACED.test(value))
    return `${name} must be written out: nothing replaces ~ or $NAME here`;
  return undefined;
}
