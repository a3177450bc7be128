import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ConfigError } from '@app/config';
import { assertDistinct, readKeyList } from './key.list';

const SHA = 'a'.repeat(64);
const GOOD = { name: 'chat', sha256: SHA, scopes: ['draw'] };
const read = (...entries: unknown[]) => readKeyList(JSON.stringify(entries), 'API_KEYS');

describe(readKeyList.name, () => {
  it('should read keys, bound to a user or not', () => {
    expect(
      read(GOOD, { name: 'a.b-C_1', sha256: SHA.toUpperCase(), scopes: ['read', 'users'], user_id: 'ann' }),
    ).toEqual([
      { name: 'chat', hash: Buffer.alloc(32, 0xaa), scopes: ['draw'], userId: undefined },
      { name: 'a.b-C_1', hash: Buffer.alloc(32, 0xaa), scopes: ['read', 'users'], userId: 'ann' },
    ]);
    expect(readKeyList(' []\n', 'API_KEYS')).toEqual([]);
  });

  it.each([
    ['', /npm run key/],
    ['{"name": "hunter2"', /npm run key/],
    ['{"name": "hunter2"}', /npm run key/],
    ['["hunter2"]', /entry 1 must be an object$/],
    ['[null]', /entry 1 must be an object$/],
    ['[["hunter2"]]', /entry 1 must be an object$/],
  ])('should refuse %s', (json, sentence) => {
    expect(() => readKeyList(json, 'API_KEYS_FILE')).toThrow(ConfigError);
    expect(() => readKeyList(json, 'API_KEYS_FILE')).toThrow(sentence);
    expect(() => readKeyList(json, 'API_KEYS_FILE')).not.toThrow(/hunter2/);
  });

  it.each([
    ['name', undefined],
    ['name', ''],
    ['name', 'hunter2:x'],
    ['name', 'x'.repeat(65)],
    ['name', 7],
    ['sha256', undefined],
    ['sha256', 'hunter2'],
    ['sha256', SHA.slice(1)],
    ['sha256', `${SHA}\n`],
    ['scopes', undefined],
    ['scopes', []],
    ['scopes', 'draw'],
    ['scopes', ['hunter2']],
    ['scopes', ['draw', ['read']]],
    ['user_id', null],
    ['user_id', ''],
    ['user_id', '../hunter2'],
    ['user_id', 7],
  ])('should refuse %s %p, and say where without repeating it', (field, value) => {
    const list = () => read(GOOD, { ...GOOD, [field]: value });
    expect(list).toThrow(new RegExp(`^API_KEYS must be .*: ${field} of entry 2 must be `));
    expect(list).not.toThrow(/hunter2/);
  });

  it.each(['key', '__proto__', 'toString'])('should refuse the unknown field %s', (field) => {
    const json = JSON.stringify([GOOD]).replace('{', `{"${field}": "hunter2",`);
    expect(() => readKeyList(json, 'API_KEYS')).toThrow(/entry 1 must have no fields but name, /);
    expect(() => readKeyList(json, 'API_KEYS')).not.toThrow(/hunter2/);
  });
});

describe(assertDistinct.name, () => {
  it('should refuse a name or a key that is there twice', () => {
    const other = 'b'.repeat(64);
    expect(() => assertDistinct(read(GOOD, { ...GOOD, name: 'phone', sha256: other }))).not.toThrow();
    expect(() => assertDistinct(read(GOOD, { ...GOOD, name: 'phone' }))).toThrow(/each sha256 only once/);
    expect(() => assertDistinct(read(GOOD, { ...GOOD, sha256: other }))).toThrow(/each name/);
  });
});

describe('npm run key', () => {
  const run = (...options: string[]) => {
    const script = join(__dirname, '../../../../tools/key.mjs');
    return spawnSync(process.execPath, [script, ...options], { encoding: 'utf8' });
  };

  it('should make a key, and the entry that lets it in', () => {
    const { stdout, status } = run('--name', 'chat', '--scopes', 'draw,read', '--user', 'ann');
    expect(status).toBe(0);
    const [key] = /sdxl_[A-Za-z0-9_-]{43}/.exec(stdout)!;
    const [entry] = readKeyList(`[${/^ *(\{.*\})$/m.exec(stdout)![1]}]`, 'API_KEYS');
    expect(entry).toEqual({
      name: 'chat',
      hash: createHash('sha256').update(key).digest(),
      scopes: ['draw', 'read'],
      userId: 'ann',
    });
    expect(stdout.split(key)).toHaveLength(2);
    expect(run('--name', 'chat', '--scopes', 'draw').stdout).not.toContain(key);
  });

  it.each([
    [[]],
    [['--name', 'chat']],
    [['--scopes', 'draw']],
    [['--name', 'a b', '--scopes', 'draw']],
    [['--name', 'chat', '--scopes', 'draw,paint']],
    [['--name', 'chat', '--scopes', 'draw', '--user', '../x']],
    [['--name', 'chat', '--scopes', 'draw', '--colour', 'red']],
  ])('should say how it is called when it is called with %p', (options) => {
    const { status, stdout, stderr } = run(...options);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain('npm run key -- --name chat --scopes draw,read');
    expect(stderr).not.toContain('    at ');
  });
});
