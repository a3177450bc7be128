import { lookup, promises, type LookupAddress } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

/** Milliseconds for a name of a stranger's, whatever its name servers do. */
const PATIENCE = 2000;
/** Of one question, the first time; the second waits for twice as long. */
const FIRST_TRY = 650;

/**
 * The addresses of a name that a stranger chose, by hosts file, name servers and search list of the system, but not by
 * the system's own lookup: that holds one of the process's few threads until the name servers answer, and names of the
 * operator's (S3, Redis) would wait for it. Rejects with the code ENOTFOUND when there are none, or none in time.
 */
export async function resolveName(host: string): Promise<LookupAddress[]> {
  const family = isIP(host);
  if (family !== 0) return [{ address: host, family }];
  const name = host.toLowerCase().replace(/\.$/, '');
  const known = inHosts(await read('/etc/hosts'), name);
  if (known.length > 0) return known;
  const domains = host.endsWith('.') ? [] : searchList(await read('/etc/resolv.conf'));
  const found = await ask([name, ...domains.map((domain) => `${name}.${domain}`)]);
  if (found.length > 0) return found;
  throw Object.assign(new Error(`There is no address of ${host}`), { code: 'ENOTFOUND' });
}

/** The first of the names that has addresses. */
async function ask(names: readonly string[]): Promise<LookupAddress[]> {
  // Each time anew: it reads the system's name servers when it is made, and they may change.
  const resolver = new promises.Resolver({ timeout: FIRST_TRY, tries: 2 });
  let over = false;
  const timer = setTimeout(() => {
    over = true;
    resolver.cancel();
  }, PATIENCE);
  try {
    for (const name of names) {
      const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
      const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
      if (found.length > 0 || over) return found.map((address) => ({ address, family: isIP(address) }));
    }
    return [];
  } finally {
    clearTimeout(timer);
  }
}

const asked = new Map<string, Promise<LookupAddress[]>>();

/** The same of a name that the operator named, as the system has it; however many ask, one thread waits for it. */
export function resolveBySystem(host: string): Promise<LookupAddress[]> {
  const pending = asked.get(host);
  if (pending) return pending;
  const answer = new Promise<LookupAddress[]>((resolve, reject) =>
    lookup(host, { all: true }, (error, found) => (error ? reject(error) : resolve(found))),
  ).finally(() => asked.delete(host));
  asked.set(host, answer);
  return answer;
}

/** hosts(5) */
export function inHosts(file: string, name: string): LookupAddress[] {
  return lines(file)
    .filter(([, ...names]) => names.some((other) => other.toLowerCase() === name))
    .map(([address]) => ({ address, family: isIP(address) }))
    .filter(({ family }) => family !== 0);
}

/** resolv.conf(5): the last `search` or `domain` counts. */
export function searchList(file: string): string[] {
  const [, ...domains] = lines(file).findLast(([word]) => word === 'search' || word === 'domain') ?? [];
  return domains.map((domain) => domain.replace(/\.$/, '')).filter((domain) => domain !== '');
}

const lines = (file: string): string[][] =>
  file
    .split('\n')
    .map((line) => line.replace(/[#;].*/, '').trim())
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/));

/** A system may well do without. */
const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
