import dns from 'node:dns';
import fs from 'node:fs/promises';
import { inHosts, resolveName, searchList } from './names';

const HOSTS = `
# a comment
127.0.0.1	localhost loopback   # the machine itself
::1 localhost
10.0.0.7 Hooks.Internal hooks
not-an-address hooks
`;

describe('inHosts', () => {
  it('should find every address of a name, however it is written', () => {
    expect(inHosts(HOSTS, 'localhost')).toEqual([
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ]);
    expect(inHosts(HOSTS, 'hooks')).toEqual([{ address: '10.0.0.7', family: 4 }]);
    expect(inHosts(HOSTS, 'hooks.internal')).toHaveLength(1);
    for (const other of ['internal', 'comment', 'itself', '10.0.0.7', ''])
      expect(inHosts(HOSTS, other)).toEqual([]);
  });
});

describe('searchList', () => {
  it('should be that of the last line that has one', () => {
    expect(searchList('nameserver 10.0.0.1\noptions ndots:5\n')).toEqual([]);
    expect(searchList('search ns.svc.cluster.local svc.cluster.local. .\n')).toEqual([
      'ns.svc.cluster.local',
      'svc.cluster.local',
    ]);
    expect(searchList('search a.example\n; search b.example\ndomain c.example')).toEqual(['c.example']);
  });
});

describe('resolveName', () => {
  let asked: string[];

  beforeEach(() => {
    asked = [];
    jest
      .spyOn(fs, 'readFile')
      .mockImplementation(((path: string) =>
        Promise.resolve(path === '/etc/hosts' ? HOSTS : 'search one.example two.example')) as never);
    const { prototype } = dns.promises.Resolver;
    jest.spyOn(prototype, 'resolve4').mockImplementation((name: string) => {
      asked.push(name);
      return name === 'hooks.ns.two.example'
        ? Promise.resolve(['10.0.0.8'])
        : Promise.reject(new Error('none'));
    });
    jest.spyOn(prototype, 'resolve6').mockRejectedValue(new Error('none'));
  });
  afterEach(() => jest.restoreAllMocks());

  it('should ask for a name as it is, then within the search list', async () => {
    expect(await resolveName('Hooks.ns')).toEqual([{ address: '10.0.0.8', family: 4 }]);
    expect(asked).toEqual(['hooks.ns', 'hooks.ns.one.example', 'hooks.ns.two.example']);
  });

  it('should not search for a name that ends in a dot', async () => {
    await expect(resolveName('hooks.ns.')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect(asked).toEqual(['hooks.ns']);
  });

  it('should ask nobody about addresses and names of the hosts file', async () => {
    expect(await resolveName('10.0.0.9')).toEqual([{ address: '10.0.0.9', family: 4 }]);
    expect(await resolveName('::1')).toEqual([{ address: '::1', family: 6 }]);
    expect(await resolveName('HOOKS.')).toEqual([{ address: '10.0.0.7', family: 4 }]);
    expect(asked).toEqual([]);
  });

  it('should do with the name servers where the system has no files', async () => {
    jest.spyOn(fs, 'readFile').mockRejectedValue(new Error('ENOENT'));
    await expect(resolveName('localhost')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect(asked).toEqual(['localhost']);
  });
});
