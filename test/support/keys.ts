import { createHash } from 'node:crypto';

/** What belongs to a key that tests call with: its entry in a list of keys, and the header that presents it. */
export function key(name: string, scopes: readonly string[], user_id?: string) {
  const secret = `secret-of-${name}`;
  return {
    entry: { name, sha256: createHash('sha256').update(secret).digest('hex'), scopes, user_id },
    header: { authorization: `Bearer ${secret}` },
    secret,
  };
}
