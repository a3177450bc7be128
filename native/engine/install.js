'use strict';
/**
 * Brings the engine and builds the addon: run by `npm ci`, and by hand as `npm run engine`.
 *
 *   ENGINE_VARIANT  cpu | cuda12 | none. Default: cuda12 with an NVIDIA driver, else cpu. none: nothing is fetched
 *                   or built (a machine that only serves the API).
 *   SD_CPP_ROOT     prefix of an installed stable-diffusion.cpp; taken through find_package, nothing is fetched.
 *   ENGINE_WHEELS   folder with the wheels named in requirements-*.txt, for machines without a network.
 * pip's own settings (index, proxy, certificates) apply to the download.
 */
const { execFileSync, spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '../..');
const VARIANTS = ['cpu', 'cuda12', 'none'];
const PYTHON_TAGS = ['--python-version', '3.12', '--implementation', 'cp'];
const PLATFORMS = ['manylinux2014_x86_64', 'manylinux_2_17_x86_64', 'manylinux_2_35_x86_64'];

/** A reason to stop that is told in one sentence, without a stack. */
class Stop extends Error {}

const runs = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

function hasNvidiaDriver() {
  return ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'].some((file) => fs.existsSync(file));
}

function chooseVariant() {
  const asked = process.env.ENGINE_VARIANT;
  if (asked && !VARIANTS.includes(asked))
    throw new Stop(`ENGINE_VARIANT must be one of ${VARIANTS.join(', ')}.`);
  return asked || (hasNvidiaDriver() ? 'cuda12' : 'cpu');
}

function requireTools(fetching) {
  const tools = [
    [
      () => runs('cmake', '--version'),
      'CMake is missing: install it, for example with `apt-get install cmake`.',
    ],
    [
      () => ['c++', 'g++', 'clang++'].some((compiler) => runs(compiler, '--version')),
      'A C++ compiler is missing: install one, for example with `apt-get install g++ make`.',
    ],
    [
      () => runs('make', '--version') || runs('ninja', '--version'),
      'make is missing: install it, for example with `apt-get install make`.',
    ],
  ];
  if (fetching) {
    tools.unshift(
      [
        () => runs('python3', '--version'),
        'Python 3 is missing (its pip fetches the engine): install it, for example with `apt-get install python3 python3-pip`.',
      ],
      [
        () => runs('python3', '-m', 'pip', '--version'),
        'pip is missing (it fetches the engine): install it, for example with `apt-get install python3-pip`.',
      ],
    );
  }
  for (const [present, sentence] of tools) if (!present()) throw new Stop(sentence);
}

/** Downloads the wheels with pip, which checks their sha256, and unpacks the libraries into `folder`. */
function fetchEngine(variant, folder) {
  const requirements = path.join(__dirname, `requirements-${variant}.txt`);
  const wanted = crypto.createHash('sha256').update(fs.readFileSync(requirements)).digest('hex');
  const marker = path.join(folder, 'complete');
  if (fs.existsSync(marker) && fs.readFileSync(marker, 'utf8') === wanted) {
    console.log(`engine: ${variant} is already here`);
    return;
  }
  console.log(`engine: fetching stable-diffusion.cpp (${variant})`);
  const staging = `${folder}.${process.pid}.part`;
  fs.rmSync(staging, { recursive: true, force: true });
  fs.mkdirSync(staging, { recursive: true });
  try {
    const wheels = path.join(staging, 'wheels');
    const local = process.env.ENGINE_WHEELS ? ['--no-index', '--find-links', process.env.ENGINE_WHEELS] : [];
    const options = [
      '--no-deps',
      '--only-binary=:all:',
      '--require-hashes',
      '--disable-pip-version-check',
      ...local,
    ];
    const platforms = PLATFORMS.flatMap((platform) => ['--platform', platform]);
    const args = [
      '-m',
      'pip',
      'download',
      ...options,
      ...PYTHON_TAGS,
      ...platforms,
      '-r',
      requirements,
      '-d',
      wheels,
    ];
    if (spawnSync('python3', args, { stdio: ['ignore', 'inherit', 'inherit'] }).status !== 0) {
      throw new Stop(
        `pip could not fetch the engine (its reason is above). Without a network, put the wheels of ${path.relative(ROOT, requirements)} ` +
          "into a folder and set ENGINE_WHEELS to it; behind a mirror, set pip's index-url.",
      );
    }
    unpack(wheels, staging);
    fs.rmSync(wheels, { recursive: true });
    arrange(staging, variant);
    fs.writeFileSync(path.join(staging, 'complete'), wanted);
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(staging, folder);
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
}

/** Takes what runs out of the wheels: the engine's module and the shared libraries beside it. */
function unpack(wheels, folder) {
  const script = `
import re, sys, zipfile, pathlib
for wheel in sorted(pathlib.Path(sys.argv[1]).glob('*.whl')):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if re.match(r'inferna/sd/_sd_native|inferna[a-z0-9_]*\\.libs/|nvidia/.*/lib/lib(cudart|cublas|cublasLt)\\.so|[^/]*\\.dist-info/.*(LICENSE|License)', name):
                archive.extract(name, sys.argv[2])
`;
  execFileSync('python3', ['-c', script, wheels, folder], { stdio: ['ignore', 'inherit', 'inherit'] });
}

/** Lays the libraries where the loader looks: the module's RPATH is its own `.libs` folder. */
function arrange(folder, variant) {
  const module = path.join(folder, 'inferna/sd');
  fs.symlinkSync('_sd_native.abi3.so', path.join(module, 'libstable-diffusion.so'));
  if (variant !== 'cuda12') return;
  const libraries = path.join(folder, 'inferna_cuda12.libs');
  for (const part of ['cuda_runtime', 'cublas']) {
    const from = path.join(folder, 'nvidia', part, 'lib');
    for (const file of fs.readdirSync(from)) fs.renameSync(path.join(from, file), path.join(libraries, file));
  }
}

function build(variant, source) {
  const defines = source ? [`--CDSD_CPP_ROOT=${source}`] : [`--CDENGINE_VARIANT=${variant}`];
  const sanitize = process.env.ENGINE_SANITIZE ? ['--CDENGINE_SANITIZE=ON'] : ['--CDENGINE_SANITIZE=OFF'];
  const out = process.env.ENGINE_SANITIZE ? 'native/build-sanitize' : 'native/build';
  const cli = require.resolve('cmake-js/bin/cmake-js');
  const args = [cli, 'compile', '--out', out, '--log-level', 'warn', ...defines, ...sanitize];
  const result = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  if (result.status !== 0) {
    console.error(result.stdout + result.stderr);
    throw new Stop(
      "The addon could not be built (the compiler's reason is above). `npm run engine` tries again.",
    );
  }
  console.log(`engine: addon built in ${out}`);
}

function main() {
  const variant = chooseVariant();
  if (variant === 'none') return console.log('engine: skipped (ENGINE_VARIANT=none)');
  const source = process.env.SD_CPP_ROOT;
  if (!source && (process.platform !== 'linux' || process.arch !== 'x64')) {
    throw new Stop(
      `There is no prebuilt engine for ${process.platform} on ${process.arch}: set SD_CPP_ROOT to an installed ` +
        'stable-diffusion.cpp, or ENGINE_VARIANT=none to go without.',
    );
  }
  requireTools(!source);
  if (!source) fetchEngine(variant, path.join(ROOT, 'native/.engine', variant));
  build(variant, source);
}

try {
  main();
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  console.error(`engine: ${error.message}`);
  process.exit(1);
}
