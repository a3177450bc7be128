import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Entry {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
}

const read = (file: string): unknown => JSON.parse(readFileSync(join(__dirname, '..', file), 'utf8'));

describe('package-lock.json', () => {
  const { packages } = read('package-lock.json') as { packages: Record<string, Entry> };
  const entries = Object.entries(packages).filter(([path]) => path !== '');

  it('should let npm ci check the bytes of every package', () => {
    expect(entries.length).toBeGreaterThan(100);
    const unchecked = entries.filter(
      ([, { integrity = '' }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity),
    );
    expect(unchecked.map(([path]) => path)).toEqual([]);
  });

  it('should take every package from the registry that the user has set', () => {
    const elsewhere = entries.filter(([, { resolved, link }]) => resolved !== undefined || link);
    expect(elsewhere.map(([path]) => path)).toEqual([]);
  });
});

describe('package.json', () => {
  it('should name exact versions', () => {
    const { dependencies, devDependencies } = read('package.json') as Record<string, Record<string, string>>;
    const ranges = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    );
    expect(ranges).toEqual([]);
  });
});
