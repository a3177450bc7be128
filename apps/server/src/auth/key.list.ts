import { ConfigError } from '@app/config';
import { isUserId, USER_ID_RULE } from '../validation/fields';
import { SCOPES, type Scope } from './api.key';

/** A key as its list has it. */
export interface KeyEntry {
  readonly name: string;
  /** SHA-256 of the key, 32 bytes: who reads the list cannot call. */
  readonly hash: Buffer;
  readonly scopes: readonly Scope[];
  readonly userId?: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Of each field what it must be, and whether it is. */
const RULES: Readonly<Record<string, readonly [rule: string, keeps: (value: unknown) => boolean]>> = {
  // Stands in front of idempotency keys, with a colon between them.
  name: ['1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-"', matches(/^[A-Za-z0-9._-]{1,64}$/)],
  sha256: ['the SHA-256 of the key in 64 hexadecimal digits', matches(/^[0-9a-f]{64}$/i)],
  scopes: [`a list of one or more of ${SCOPES.join(', ')}`, isScopes],
  user_id: [USER_ID_RULE, (value) => value === undefined || isUserId(value)],
};

/** Reads a list of keys from JSON. Throws ConfigError, which never repeats what stands in the list. */
export function readKeyList(json: string, variable: string): KeyEntry[] {
  const fault = (rule: string) => new ConfigError(`${variable} must be a JSON list of keys: ${rule}`);
  const list = parse(json);
  if (!Array.isArray(list)) throw fault('npm run key makes a key and its entry');
  return list.map((entry: unknown, i) => {
    const place = `entry ${i + 1}`;
    if (!isObject(entry)) throw fault(`${place} must be an object`);
    if (Object.keys(entry).some((field) => !Object.hasOwn(RULES, field))) {
      throw fault(`${place} must have no fields but ${Object.keys(RULES).join(', ')}`);
    }
    for (const [field, [rule, keeps]] of Object.entries(RULES)) {
      if (!keeps(entry[field])) throw fault(`${field} of ${place} must be ${rule}`);
    }
    return toEntry(entry);
  });
}

/** Callers are distinguished by name, and a key has one owner. */
export function assertDistinct(entries: readonly KeyEntry[]): void {
  const distinct = (of: (entry: KeyEntry) => string) => new Set(entries.map(of)).size === entries.length;
  if (distinct(({ name }) => name) && distinct(({ hash }) => hash.toString('hex'))) return;
  throw new ConfigError('API_KEYS and API_KEYS_FILE must have each name and each sha256 only once');
}

/** The parser's own words quote the text. */
function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

const toEntry = (entry: Fields): KeyEntry => ({
  name: entry.name as string,
  hash: Buffer.from(entry.sha256 as string, 'hex'),
  scopes: entry.scopes as Scope[],
  userId: entry.user_id as string | undefined,
});

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function matches(pattern: RegExp) {
  return (value: unknown) => typeof value === 'string' && pattern.test(value);
}

function isScopes(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((scope) => SCOPES.includes(scope as Scope));
}
