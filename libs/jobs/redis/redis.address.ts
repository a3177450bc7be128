import type { RedisOptions } from 'ioredis';

/** The port of sentinels. */
const SENTINEL_PORT = 26_379;

/**
 * REDIS_URL as options of ioredis: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or where sentinels know the primary
 * `redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/NAME[/DATABASE]`; `rediss` for TLS. Further options of
 * ioredis follow a question mark, such as `sentinelPassword`.
 */
export function redisAddress(url: string): RedisOptions {
  const [, scheme, credentials, hosts, path, query] =
    /^(rediss?(?:\+sentinel)?):\/\/(?:([^/?#]*)@)?([^/?#@]*)([^?#]*)(?:\?(.*))?$/.exec(url) ?? [];
  const sentinel = scheme.endsWith('+sentinel');
  const [, name, database] = sentinel ? path.split('/') : [undefined, undefined, path.slice(1)];
  const tls = scheme.startsWith('rediss') ? {} : undefined;
  return {
    ...Object.fromEntries([...new URLSearchParams(query)].map(option)),
    ...(credentials ? login(credentials) : {}),
    ...(tls ? { tls } : {}),
    ...(database ? { db: Number(database) } : {}),
    ...(sentinel
      ? {
          name: decodeURIComponent(name ?? ''),
          sentinels: hosts.split(',').map((host) => server(host, SENTINEL_PORT)),
          ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
        }
      : server(hosts, 6_379)),
  };
}

function server(text: string, defaultPort: number): { host: string; port: number } {
  const [, host, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(text) ?? [];
  return { host: (host || 'localhost').replace(/^\[|\]$/g, ''), port: Number(port ?? defaultPort) };
}

function login(text: string): Pick<RedisOptions, 'username' | 'password'> {
  const [user, ...password] = text.split(':');
  return { username: decodeURIComponent(user), password: decodeURIComponent(password.join(':')) };
}

const option = ([name, value]: [string, string]) =>
  [name, name === 'family' ? Number(value) : value] as const;
