import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';

const ROOT = join(__dirname, '../..');
const PYTHON = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' });
const SHARED = { cpu: 'inferna.libs/libgomp.so', cuda12: 'inferna_cuda12.libs/libggml.so' };

type Variant = 'cpu' | 'cuda12';

/** `npm run engine` in a copy of what it needs, with tiny wheels in place of the engine's. */
describe('npm run engine', () => {
  const folder = temporaryFolder();
  const tree = join(folder, 'tree');
  const wheels = join(folder, 'wheels');
  const engine = join(tree, 'native/.engine');

  beforeAll(() => {
    for (const part of ['native/engine', 'native/src', 'native/index.js', 'CMakeLists.txt', 'package.json'])
      cpSync(join(ROOT, part), join(tree, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
    mkdirSync(wheels);
    for (const variant of ['cpu', 'cuda12'] as const) pin(variant, tinyWheels(variant));
  });

  beforeEach(() => {
    rmSync(engine, { recursive: true, force: true });
    rmSync(join(tree, 'native/build'), { recursive: true, force: true });
  });

  /** A library that can be linked and has nothing of an engine. */
  function tinyLibrary(file: string): void {
    spawnSync('cc', ['-shared', '-x', 'c', '/dev/null', '-o', file], { stdio: 'inherit' });
  }

  function tinyWheels(variant: Variant): Record<string, string> {
    const library = join(folder, 'library.so');
    tinyLibrary(library);
    const module = { 'inferna/sd/_sd_native.abi3.so': library, [SHARED[variant]]: library };
    if (variant === 'cpu') return { 'inferna-0.4.0': wheel('inferna-0.4.0', module) };
    const cuda = (part: string, file: string) => ({ [`nvidia/${part}/lib/${file}`]: library });
    const [runtime, cublas] = ['nvidia_cuda_runtime_cu12-12.6.77', 'nvidia_cublas_cu12-12.6.4.1'];
    return {
      'inferna-cuda12-0.4.0': wheel('inferna_cuda12-0.4.0', module),
      [runtime]: wheel(runtime, cuda('cuda_runtime', 'libcudart.so.12')),
      [cublas]: wheel(cublas, cuda('cublas', 'libcublas.so.12')),
    };
  }

  /** Returns its sha256. */
  function wheel(name: string, files: Record<string, string>): string {
    const file = join(wheels, `${name}-cp312-abi3-manylinux2014_x86_64.whl`);
    const script = `
import json, sys, zipfile
name, version = sys.argv[2].split('-')
with zipfile.ZipFile(sys.argv[1], 'w') as archive:
    for inside, outside in json.loads(sys.argv[3]).items():
        archive.write(outside, inside)
    archive.writestr(f'{name}-{version}.dist-info/METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n')
    archive.writestr(f'{name}-{version}.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: cp312-abi3-manylinux2014_x86_64\\n')
`;
    const made = spawnSync('python3', ['-c', script, file, name, JSON.stringify(files)], {
      encoding: 'utf8',
    });
    expect(made.stderr).toBe('');
    return createHash('sha256').update(readFileSync(file)).digest('hex');
  }

  function pin(variant: Variant, hashes: Record<string, string>): void {
    const lines = Object.entries(hashes).map(([name, hash]) => {
      const at = name.lastIndexOf('-');
      return `${name.slice(0, at).replaceAll('_', '-')}==${name.slice(at + 1)} --hash=sha256:${hash}\n`;
    });
    writeFileSync(join(tree, `native/engine/requirements-${variant}.txt`), lines.join(''));
  }

  /** A folder for PATH with these programs only; `cmake` is one that does nothing. */
  function tools(...names: string[]): string {
    const path = join(folder, `tools-${names.join('-')}`);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path);
    const script = (name: string, line: string) => {
      writeFileSync(join(path, name), `#!/bin/sh\n${line}\n`);
      chmodSync(join(path, name), 0o755);
    };
    const python = `exec '${PYTHON.stdout.trim()}' "$@"`;
    for (const name of names) {
      if (name === 'pip') continue;
      if (name === 'python3') script(name, names.includes('pip') ? python : `[ "$1" = --version ]`);
      else script(name, 'exit 0');
    }
    return path;
  }

  const EVERYTHING = ['python3', 'pip', 'cmake', 'g++', 'make'];

  function install(variables: Record<string, string>): {
    status: number | null;
    stdout: string;
    stderr: string;
  } {
    const { PATH = '', HOME = '' } = process.env;
    const env = { PATH, HOME, ENGINE_VARIANT: 'cpu', ENGINE_WHEELS: wheels, ...variables };
    const script = join(tree, 'native/engine/install.js');
    return spawnSync(process.execPath, [script], { cwd: tree, encoding: 'utf8', env });
  }

  const fetched = (variant: Variant) => join(engine, variant, 'inferna/sd/libstable-diffusion.so');

  it.each([
    ['python3', 'Python 3 and pip 20.3 or newer, which fetches the engine,', 'python3 python3-pip'],
    ['pip', 'pip 20.3 or newer, which fetches the engine,', 'python3-pip'],
    ['cmake', 'CMake', 'cmake'],
    ['g++', 'a C++ compiler', 'g++'],
    ['make', 'make', 'make'],
  ])('should name what is missing and what to install: %s', (missing, name, packages) => {
    const { status, stderr } = install({ PATH: tools(...EVERYTHING.filter((tool) => tool !== missing)) });
    expect(stderr).toBe(
      `engine: Not found: ${name}. Install with \`apt-get install ${packages}\` or alike, then \`npm run engine\`; ` +
        'or set ENGINE_VARIANT=none on a machine that only serves the API.\n',
    );
    expect(status).toBe(1);
    expect(existsSync(engine)).toBe(false);
  });

  it('should name everything that is missing at once', () => {
    const { status, stderr } = install({ PATH: tools() });
    expect(stderr).toContain('`apt-get install python3 python3-pip cmake g++ make`');
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(status).toBe(1);
  });

  it('should do nothing with ENGINE_VARIANT=none', () => {
    expect(install({ PATH: tools(), ENGINE_VARIANT: 'none' })).toMatchObject({ status: 0, stderr: '' });
    expect(existsSync(engine)).toBe(false);
  });

  it('should refuse a variant that does not exist', () => {
    const { status, stderr } = install({ ENGINE_VARIANT: 'cuda13' });
    expect(stderr).toBe('engine: Expected cpu, cuda12, none for ENGINE_VARIANT but received "cuda13".\n');
    expect(status).toBe(1);
  });

  it('should say that ENGINE_WHEELS is no folder', () => {
    const { status, stderr } = install({ PATH: tools(...EVERYTHING), ENGINE_WHEELS: '/nowhere' });
    expect(stderr).toBe('engine: Expected a folder for ENGINE_WHEELS but received /nowhere.\n');
    expect(status).toBe(1);
  });

  it('should refuse a wheel that is not the pinned one, and leave nothing behind', () => {
    const pins = join(tree, 'native/engine/requirements-cpu.txt');
    const before = readFileSync(pins, 'utf8');
    writeFileSync(pins, `inferna==0.4.0 --hash=sha256:${'0'.repeat(64)}\n`);
    try {
      const { status, stderr } = install({ PATH: tools(...EVERYTHING) });
      expect(stderr).toContain('DO NOT MATCH THE HASHES');
      expect(stderr).toContain('engine: pip could not fetch the engine');
      expect(status).toBe(1);
      expect(readdirSync(engine)).toEqual([]);
    } finally {
      writeFileSync(pins, before);
    }
  });

  it('should fetch once: a second run needs neither wheels nor Python', () => {
    expect(install({ PATH: tools(...EVERYTHING) }).stdout).toContain('engine: fetching');
    expect(readdirSync(engine)).toEqual(['cpu']);
    expect(existsSync(fetched('cpu'))).toBe(true);
    const second = install({ PATH: tools('cmake', 'g++', 'make'), ENGINE_WHEELS: '/nowhere' });
    expect(second.stdout).toContain('is already here');
  });

  it('should repair what an interrupted run or a careless hand left', () => {
    const killed = join(engine, 'cpu.4999999.part');
    mkdirSync(killed, { recursive: true });
    install({ PATH: tools(...EVERYTHING) });
    expect(existsSync(killed)).toBe(false);
    for (const spoil of [
      () => rmSync(join(engine, 'cpu', SHARED.cpu)),
      () => writeFileSync(join(engine, 'cpu', SHARED.cpu), 'cut'),
      () => rmSync(join(engine, 'cpu/complete')),
    ]) {
      spoil();
      expect(install({ PATH: tools(...EVERYTHING) }).stdout).toContain('engine: fetching');
      expect(
        readFileSync(join(engine, 'cpu', SHARED.cpu))
          .subarray(1, 4)
          .toString(),
      ).toBe('ELF');
    }
  });

  it('should make the engine bind its own symbols first', () => {
    install({ PATH: tools(...EVERYTHING) });
    const { stdout } = spawnSync('readelf', ['-d', fetched('cpu')], { encoding: 'utf8' });
    expect(stdout).toContain('(SYMBOLIC)');
  });

  it('should keep both variants and build against the one that is asked for', () => {
    for (const variant of ['cpu', 'cuda12'] as const) {
      const { stderr } = install({ ENGINE_VARIANT: variant });
      // The tiny library is no engine; a build that cannot draw is not passed over in silence.
      expect(stderr).toMatch(/^engine: The engine does not load: .*undefined symbol: /);
      const { stdout } = spawnSync('readelf', ['-d', join(tree, 'native/build/Release/addon.node')], {
        encoding: 'utf8',
      });
      expect(stdout).toContain(`$ORIGIN/../../.engine/${variant}/inferna/sd]`);
    }
    expect(readdirSync(engine).sort()).toEqual(['cpu', 'cuda12']);
  });
});
