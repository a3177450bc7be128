/** The preferences of RFC 7240 that the picture routes know. */
export interface Preferences {
  /** `respond-async`: answer with the job instead of the picture. */
  readonly respondAsync: boolean;
  /** `wait`: seconds that the client would wait for the picture; a whole number >= 0. */
  readonly wait?: number;
}

/** What stands between commas; a quoted string keeps its commas, one that is never closed takes the rest. */
const PIECE = /(?:"(?:[^"\\]|\\.|\\$)*(?:"|$)|[^",])+/g;
/** RFC 9110, section 5.6.2 */
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** A name, perhaps a value (token or quoted string; an empty one is none), perhaps parameters. */
const PREFERENCE = new RegExp(
  `^[ \\t]*(${TOKEN})(?:[ \\t]*=[ \\t]*(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")?)?[ \\t]*(?:;.*)?$`,
);

/**
 * Reads a Prefer header (RFC 7240). Preferences are wishes, so nothing here is an error: what is malformed or unknown
 * is passed over, and so are parameters. The first of several with the same name counts, whatever its value.
 */
export function parsePrefer(header: string | string[] | undefined): Preferences {
  const lines = typeof header === 'string' ? [header] : (header ?? []);
  const found = new Map<string, string>();
  for (const piece of lines.flatMap((line) => line.match(PIECE) ?? [])) {
    const match = PREFERENCE.exec(piece);
    if (!match) continue;
    const [, name, token, quoted] = match;
    const value = token ?? quoted?.replace(/\\(.)/g, '$1') ?? '';
    if (!found.has(name.toLowerCase())) found.set(name.toLowerCase(), value);
  }
  const wait = found.get('wait') ?? '';
  return {
    respondAsync: found.get('respond-async') === '',
    ...(/^\d+$/.test(wait) && { wait: Math.min(Number(wait), Number.MAX_SAFE_INTEGER) }),
  };
}
