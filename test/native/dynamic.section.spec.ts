import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';

const { adaptLibrary } = jest.requireActual<{ adaptLibrary: (file: string, unneeded?: RegExp) => void }>(
  '../../native/engine/dynamic_section',
);

/** On libraries that the compiler makes here. */
describe('adaptLibrary', () => {
  const folder = temporaryFolder();
  const main = join(folder, 'libmain.so');

  function compile(name: string, source: string, ...options: string[]): string {
    const file = join(folder, `${name}.so`);
    const args = ['-shared', '-fPIC', '-x', 'c', '-', '-o', file, `-Wl,-soname,${name}.so`];
    const { status, stderr } = spawnSync('cc', [...args, '-x', 'none', ...options], {
      input: source,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return file;
  }

  /** `answer()` of libmain.so, which needs libused.so and, although it uses nothing of it, libunused.so. */
  function compileMain(...options: string[]): void {
    const parts = [compile('libused', 'int used(void) { return 40; }'), compile('libunused', '')];
    const source = 'int used(void); int own(void) { return 2; } int answer(void) { return used() + own(); }';
    compile('libmain', source, '-Wl,--no-as-needed', ...parts, '-Wl,-rpath,$ORIGIN', ...options);
  }

  function entries(tag: string, file = main): string[] {
    const { stdout } = spawnSync('readelf', ['-dW', file], { encoding: 'utf8' });
    return stdout.split('\n').filter((line) => line.includes(`(${tag})`));
  }
  const needed = () => entries('NEEDED').map((line) => /\[(.*)\]/.exec(line)?.[1]);

  /** Loads libmain.so in a process of its own and calls `answer`. */
  function answer(env: Record<string, string> = {}) {
    const script = 'import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).answer())';
    const run = spawnSync('python3', ['-c', script, main], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    return run.stdout.trim() || (run.stderr.trim().split('\n').pop() ?? '');
  }

  beforeEach(() => compileMain());

  it('should drop what the library shall not ask for, and nothing else', () => {
    const before = needed();
    expect(before.slice(0, 2)).toEqual(['libused.so', 'libunused.so']);
    rmSync(join(folder, 'libunused.so'));
    expect(answer()).toContain('libunused.so: cannot open shared object file');
    adaptLibrary(main, /^libun/);
    expect(needed()).toEqual(before.filter((name) => name !== 'libunused.so'));
    expect(answer()).toBe('42');
  });

  it('should let the library prefer its own symbols', () => {
    const preload = { LD_PRELOAD: compile('libpreload', 'int own(void) { return 60; }') };
    expect([entries('SYMBOLIC'), answer(preload)]).toEqual([[], '100']);
    adaptLibrary(main);
    expect([entries('SYMBOLIC').length, answer(preload)]).toEqual([1, '42']);
  });

  it('should change nothing the second time, and nothing that the linker did already', () => {
    adaptLibrary(main, /^libun/);
    const once = readFileSync(main);
    adaptLibrary(main, /^libun/);
    expect(readFileSync(main).equals(once)).toBe(true);
    compileMain('-Wl,-Bsymbolic');
    adaptLibrary(main);
    expect(entries('SYMBOLIC')).toHaveLength(1);
    expect(answer()).toBe('42');
  });

  it('should need room for one entry, which a dropped one makes', () => {
    compileMain('-Wl,--spare-dynamic-tags=1');
    const before = readFileSync(main);
    expect(() => adaptLibrary(main)).toThrow(`${main} has no room for DT_SYMBOLIC`);
    expect(readFileSync(main).equals(before)).toBe(true);
    adaptLibrary(main, /^libun/);
    expect([entries('SYMBOLIC').length, answer()]).toEqual([1, '42']);
  });

  it('should refuse what is no shared library', () => {
    const object = join(folder, 'main.o');
    spawnSync('cc', ['-c', '-x', 'c', '/dev/null', '-o', object]);
    expect(() => adaptLibrary(object)).toThrow(`${object} is not a shared library`);
    writeFileSync(
      object,
      'no library at all, and not a short one either: as long as the header of one would be',
    );
    expect(() => adaptLibrary(object)).toThrow(`${object} is not a shared library`);
  });
});
