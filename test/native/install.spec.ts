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
const SHARED = {
  cpu: 'inferna.libs/libgomp.so',
  cuda12: 'inferna_cuda12.libs/libggml.so',
  vulkan: 'inferna_vulkan.libs/libggml.so',
};
/** What a GPU engine's module asks for; the first two are the addon's to load. */
const NEEDED = ['libggml-cpu-1.so', 'libggml-vulkan-1.so', 'libggml-base-1.so'];

type Variant = keyof typeof SHARED;
const VARIANTS = Object.keys(SHARED) as Variant[];

/** `npm run engine` in a copy of what it needs, with tiny wheels in place of the engine's. */
describe('npm run engine', () => {
  const folder = temporaryFolder();
  const tree = join(folder, 'tree');
  const wheels = join(folder, 'wheels');
  const engine = join(tree, 'native/.engine');
  const addon = join(tree, 'native/build/Release/addon.node');

  beforeAll(() => {
    for (const part of ['native/engine', 'native/src', 'native/index.js', 'CMakeLists.txt', 'package.json'])
      cpSync(join(ROOT, part), join(tree, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
    mkdirSync(wheels);
    for (const variant of VARIANTS) pin(variant, tinyWheels(variant));
  });

  beforeEach(() => {
    rmSync(engine, { recursive: true, force: true });
    // What was linked; what was compiled saves a minute.
    rmSync(join(tree, 'native/build/Release'), { recursive: true, force: true });
  });

  /** A library that can be linked and has nothing of an engine. */
  function tinyLibrary(file: string, ...options: string[]): string {
    spawnSync('cc', ['-shared', '-x', 'c', '/dev/null', '-o', file, ...options], { stdio: 'inherit' });
    return file;
  }

  /** `others` are files, or options that name them. */
  const needing = (...others: string[]) => ['-Wl,--no-as-needed', '-x', 'none', ...others];

  function tinyModule(): string {
    const needed = NEEDED.map((name) => tinyLibrary(join(folder, name), `-Wl,-soname,${name}`));
    return tinyLibrary(join(folder, 'module.so'), ...needing(...needed));
  }

  function tinyWheels(variant: Variant): Record<string, string> {
    const library = tinyLibrary(join(folder, 'library.so'));
    const module = {
      'inferna/sd/_sd_native.abi3.so': variant === 'cpu' ? library : tinyModule(),
      [SHARED[variant]]: library,
    };
    if (variant === 'cpu') return { 'inferna-0.7.0': wheel('inferna-0.7.0', module) };
    if (variant === 'vulkan') return { 'inferna-vulkan-0.7.0': wheel('inferna_vulkan-0.7.0', module) };
    const cuda = (part: string, file: string) => ({ [`nvidia/${part}/lib/${file}`]: library });
    const [runtime, cublas] = ['nvidia_cuda_runtime_cu12-12.6.77', 'nvidia_cublas_cu12-12.6.4.1'];
    return {
      'inferna-cuda12-0.7.0': wheel('inferna_cuda12-0.7.0', module),
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

  function install(variables: Record<string, string>, ...args: string[]) {
    const { PATH = '', HOME = '' } = process.env;
    const env = { PATH, HOME, ENGINE_VARIANT: 'cpu', ENGINE_WHEELS: wheels, ...variables };
    const script = join(tree, 'native/engine/install.js');
    return spawnSync(process.execPath, [script, ...args], { cwd: tree, encoding: 'utf8', env });
  }

  /** For LD_LIBRARY_PATH: the loader takes these before the system's. */
  function libraries(name: string, files: Record<string, 'works' | 'broken'>): string {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    for (const [file, state] of Object.entries(files)) {
      if (state === 'works') tinyLibrary(join(path, file));
      else writeFileSync(join(path, file), 'no library');
    }
    return path;
  }

  const dynamicSection = (file: string) => spawnSync('readelf', ['-dW', file], { encoding: 'utf8' }).stdout;
  const neededBy = (file: string) =>
    [...dynamicSection(file).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
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
    expect(stderr).toBe(
      'engine: Expected cpu, cuda12, vulkan, none for ENGINE_VARIANT but received "cuda13".\n',
    );
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
    writeFileSync(pins, `inferna==0.7.0 --hash=sha256:${'0'.repeat(64)}\n`);
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

  it('should make the engine bind its own symbols first, and ask for no back end', () => {
    install({ PATH: tools(...EVERYTHING), ENGINE_VARIANT: 'vulkan' });
    expect(dynamicSection(fetched('vulkan'))).toContain('(SYMBOLIC)');
    expect(neededBy(fetched('vulkan')).filter((name) => NEEDED.includes(name))).toEqual([
      'libggml-base-1.so',
    ]);
  });

  it('should refuse an engine that needs a newer glibc, before it fetches anything', () => {
    const table = join(tree, 'native/engine/variants.js');
    const before = readFileSync(table, 'utf8');
    writeFileSync(table, before.replace("glibc: '2.27'", "glibc: '9.1'"));
    try {
      const { status, stderr } = install({ PATH: tools(), ENGINE_VARIANT: 'vulkan' });
      expect(stderr).toMatch(
        /^engine: The vulkan engine needs glibc 9\.1 or newer, and here is 2\.\d+: set SD_CPP_ROOT to an installed stable-diffusion\.cpp, or ENGINE_VARIANT=none to go without\.\n$/,
      );
      expect(status).toBe(1);
      expect(existsSync(engine)).toBe(false);
    } finally {
      writeFileSync(table, before);
    }
  });

  it('should say before the download what this machine needs for drawing, and continue', () => {
    const { stdout } = install({
      PATH: tools(...EVERYTHING),
      ENGINE_VARIANT: 'vulkan',
      LD_LIBRARY_PATH: libraries('no-vulkan', { 'libvulkan.so.1': 'broken' }),
      VK_DRIVER_FILES: '/nowhere.json',
    });
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      'engine: to draw with the vulkan engine, this machine still needs libvulkan.so.1 (Debian: libvulkan1) and ' +
        'a Vulkan driver (Debian: mesa-vulkan-drivers)',
      'engine: fetching stable-diffusion.cpp (vulkan, 36 MB)',
    ]);
  });

  it('should keep all variants and build against the one that is asked for', () => {
    for (const variant of VARIANTS) {
      const { stderr } = install({ ENGINE_VARIANT: variant, LD_LIBRARY_PATH: folder });
      // The tiny library is no engine; a build that cannot draw is not passed over in silence.
      expect(stderr).toMatch(/^engine: The engine does not load: .*undefined symbol: /);
      expect(dynamicSection(addon)).toContain(`$ORIGIN/../../.engine/${variant}/inferna/sd]`);
    }
    expect(readdirSync(engine).sort()).toEqual(VARIANTS);
    rmSync(join(engine, 'cpu', SHARED.cpu));
    rmSync(join(engine, 'cuda12'), { recursive: true });
    const { rows, remarks } = list();
    expect([rows.cpu[3], rows.cuda12[3], rows.vulkan[3]]).toEqual([
      'damaged or old',
      'not installed',
      'installed, in use',
    ]);
    expect(remarks).toContain('The addon is built over the vulkan engine.\n`npm run engine` takes cpu;');
  });

  /** `npm run engine -- --list`: the cells behind each variant's name, and the lines below the table. */
  function list(variables: Record<string, string> = {}) {
    const { status, stdout, stderr } = install({ PATH: '/nowhere', ...variables }, '--list');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [head, ...lines] = stdout.split('\n').map((line) => line.split(/ {2,}/));
    const names = ['variant', 'draws on', 'download', 'on disk', 'state', 'missing here'];
    expect(head).toEqual(names);
    const rows = Object.fromEntries(lines.slice(0, 3).map(([name, ...cells]) => [name, cells]));
    return { rows: rows as Record<Variant, string[]>, remarks: lines.slice(4).join('\n') };
  }

  describe('-- --list', () => {
    it('should tell variants, sizes and what is missing on this machine', () => {
      const files = { 'libcuda.so.1': 'works', 'libvulkan.so.1': 'works', 'libgomp.so.1': 'works' } as const;
      const { rows, remarks } = list({ LD_LIBRARY_PATH: libraries('whole', files), VK_DRIVER_FILES: folder });
      expect(rows).toEqual({
        cpu: ['any CPU with AVX2', '24 MB', '40 MB', 'not installed', 'nothing'],
        cuda12: ['NVIDIA GPUs, Turing or newer', '491 MB', '858 MB', 'not installed', 'nothing'],
        vulkan: ['AMD, Intel and NVIDIA GPUs', '36 MB', '90 MB', 'not installed', 'nothing'],
      });
      expect(remarks).toMatch(/^This machine: linux x64, glibc 2\.\d+\.\nThe addon is not built/);
      expect(list({ SD_CPP_ROOT: '/opt/sd' }).remarks).toContain(
        'SD_CPP_ROOT is /opt/sd: `npm run engine` builds',
      );
    });

    it('should name what is missing', () => {
      const files = {
        'libcuda.so.1': 'broken',
        'libvulkan.so.1': 'broken',
        'libgomp.so.1': 'broken',
      } as const;
      const { rows } = list({ LD_LIBRARY_PATH: libraries('none', files), VK_DRIVER_FILES: '/nowhere.json' });
      expect([rows.cpu[4], rows.cuda12[4], rows.vulkan[4]]).toEqual([
        'nothing',
        'an NVIDIA driver, 550 or newer (libcuda.so.1); libgomp.so.1 (Debian: libgomp1)',
        'libvulkan.so.1 (Debian: libvulkan1); a Vulkan driver (Debian: mesa-vulkan-drivers); libgomp.so.1 (Debian: libgomp1)',
      ]);
    });

    it('should need no npm packages, no programs and no network', () => {
      const alone = join(folder, 'alone');
      cpSync(join(ROOT, 'native/engine'), join(alone, 'native/engine'), { recursive: true });
      const script = join(alone, 'native/engine/install.js');
      const listed = spawnSync(process.execPath, [script, '--list'], { encoding: 'utf8', env: {} });
      expect(listed).toMatchObject({ status: 0, stderr: '' });
      expect(listed.stdout).toContain('vulkan');
    });

    it.each([[['--help']], [['--list', 'cpu']], [['cuda12']]])('should refuse %p', (args) => {
      const { status, stdout, stderr } = install({}, ...args);
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toBe(`engine: Expected no argument, or --list alone, but received "${args.at(-1)}".\n`);
    });
  });

  describe('with SD_CPP_ROOT', () => {
    const own = join(folder, 'own');
    const elsewhere = join(folder, 'elsewhere');
    const config = join(own, 'lib/cmake/stable-diffusion/stable-diffusion-config.cmake');

    beforeAll(() => {
      for (const path of [join(own, 'include'), elsewhere]) mkdirSync(path, { recursive: true });
      cpSync(join(ROOT, 'native/engine/stable-diffusion.h'), join(own, 'include/stable-diffusion.h'));
    });

    beforeEach(() => {
      mkdirSync(join(own, 'lib/cmake/stable-diffusion'), { recursive: true });
      writeFileSync(config, 'message(FATAL_ERROR "Could not find nvcc")\n');
    });

    afterEach(() => rmSync(join(own, 'lib'), { recursive: true }));

    it('should need a shared library and its header only, and find what lies elsewhere by ENGINE_RPATH', () => {
      // The engine that is here, behind a library that needs it: one that really loads.
      const here = join(ROOT, 'native/.engine/cpu/inferna/sd');
      const names = join(elsewhere, 'libabsent_names.so');
      const source = join(ROOT, 'native/engine/absent_names.c');
      tinyLibrary(names, '-fPIC', source, '-Wl,-soname,libabsent_names.so', '-ldl');
      const parts = needing(names, `-L${here}`, '-l:_sd_native.abi3.so');
      const name = 'libstable-diffusion.so'; // one of which lies in `here`, too
      tinyLibrary(join(own, 'lib', name), `-Wl,-soname,${name}`, ...parts);

      const without = install({ SD_CPP_ROOT: own });
      expect(without.stderr).toBe(
        'engine: The engine does not load: libabsent_names.so is missing. With the prebuilt engine `npm run engine` ' +
          'brings it; for an own engine (SD_CPP_ROOT) name its folder in LD_LIBRARY_PATH, or in ENGINE_RPATH for ' +
          '`npm run engine`\n',
      );
      expect(without.status).toBe(1);

      const withBoth = install({ SD_CPP_ROOT: own, ENGINE_RPATH: `elsewhere:${here}`, INIT_CWD: folder });
      expect(withBoth).toMatchObject({ status: 0, stderr: '' });
      const script = 'console.log(require("./native").devices().at(-1).name)';
      const { stdout } = spawnSync(process.execPath, ['-e', script], { cwd: tree, encoding: 'utf8' });
      expect(stdout).toBe('CPU\n');
      expect(list().remarks).toContain('The addon is built over an own engine (SD_CPP_ROOT).');
      expect(existsSync(engine)).toBe(false);
    });

    it('should take a static library through its package config, and say what that means when it fails', () => {
      const archive = join(own, 'lib/libstable-diffusion.a');
      spawnSync('ar', ['rc', archive]);
      const { status, stderr } = install({ SD_CPP_ROOT: own });
      expect(stderr).toContain('Could not find nvcc');
      expect(stderr).toMatch(
        /Of SD_CPP_ROOT a shared library \(.*\) and its header are enough; .*package config/,
      );
      expect(status).toBe(1);
      writeFileSync(
        config,
        `add_library(stable-diffusion STATIC IMPORTED)
         set_target_properties(stable-diffusion PROPERTIES IMPORTED_LOCATION "${archive}"
           INTERFACE_INCLUDE_DIRECTORIES "${own}/include")`,
      );
      expect(install({ SD_CPP_ROOT: own }).stdout).toContain('engine: addon built');
    });

    it('should refuse a prefix that is not there', () => {
      expect(install({ SD_CPP_ROOT: '/nowhere' }).stderr).toBe(
        'engine: Expected a folder for SD_CPP_ROOT but received /nowhere.\n',
      );
    });
  });
});
