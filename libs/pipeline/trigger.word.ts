/*
 * PhotoMaker puts a person in the place of the word `img`, which has to stand once in a prompt, behind a noun for somebody and
 * among the first tokens. Callers need not know of it.
 */

/** Not plurals: it is about one person. */
const SOMEBODY =
  'woman|man|girl|boy|lady|gentleman|guy|person|human|child|kid|baby|toddler|teenager|female|male';
/** The tokenizer cuts words wherever letters end, and knows no capitals. */
const word = (words: string, flags: string) => new RegExp(`(?<!\\p{L})(?:${words})(?!\\p{L})`, flags);
const NOUN = word(SOMEBODY, 'iu');
const TRIGGERED = new RegExp(`(?<=(?<!\\p{L})(?:${SOMEBODY})) img(?!\\p{L})`, 'giu');
const TRIGGER = word('img', 'giu');

/** Characters in which a noun is early enough: fewer than the 75 tokens that are read at once. */
const EARLY = 200;

/** The prompt with the trigger word where it belongs, and nowhere else. */
export function withTrigger(prompt: string): string {
  const text = prompt.replace(TRIGGERED, '').replace(TRIGGER, 'image');
  const [early] = text.slice(0, EARLY).split(/\bBREAK\b/, 1);
  const noun = NOUN.exec(early);
  if (!noun) return `a person img, ${text}`;
  const end = noun.index + noun[0].length;
  return `${text.slice(0, end)} img${text.slice(end)}`;
}
