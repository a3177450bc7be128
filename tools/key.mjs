/**
 * npm run key -- --name chat --scopes draw,read [--user ada] — makes a key for a caller and its entry for API_KEYS_FILE
 * or API_KEYS. The key is shown once and kept nowhere: the entry holds only its SHA-256.
 */
import { createHash, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';

const USAGE = `Usage: npm run key -- --name chat --scopes draw,read [--user ada]
  --name    who calls, 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-"
  --scopes  one or more of draw, read, users, separated by commas
  --user    the only user whose pictures and jobs the key reaches (default: everybody's)
`;
const string = /** @type {const} */ ({ type: 'string' });

function readOptions() {
  const {
    name = '',
    scopes = '',
    user,
  } = parseArgs({
    options: { name: string, scopes: string, user: string },
  }).values;
  const list = scopes.split(',').map((scope) => scope.trim());
  const fits =
    /^[A-Za-z0-9._-]{1,64}$/.test(name) &&
    list.every((scope) => ['draw', 'read', 'users'].includes(scope)) &&
    (user === undefined || /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/.test(user));
  if (!fits) throw new Error('An option is missing or breaks its rule');
  return { name, scopes: list, user };
}

try {
  const { name, scopes, user } = readOptions();
  // The prefix lets scanners of code and logs find a key that got lost.
  const key = `sdxl_${randomBytes(32).toString('base64url')}`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  process.stdout.write(`The key, for its caller alone; it is not shown again:

  ${key}

Its entry in the list of API_KEYS_FILE or API_KEYS:

  ${JSON.stringify({ name, sha256, scopes, user_id: user })}
`);
} catch (error) {
  process.stderr.write(`${/** @type {Error} */ (error).message}\n${USAGE}`);
  process.exitCode = 1;
}
