'use strict';
/**
 * Brings the engine and builds the addon: run by `npm ci`, and by hand as `npm run engine`. `--list` only shows what
 * there is for this machine.
 *
 *   ENGINE_VARIANT  cpu | cuda12 | vulkan | none. Default: cuda12 with an NVIDIA driver, else cpu. none: nothing is
 *                   fetched or built (a machine that only serves the API).
 *   SD_CPP_ROOT     prefix of an installed stable-diffusion.cpp; nothing is fetched. A shared library and its header
 *                   are all that is needed, and it wants -DCMAKE_SHARED_LINKER_FLAGS=-Wl,-Bsymbolic
 *                   (dynamic_section.js says why); a static one is taken through its package config.
 *   ENGINE_RPATH    with SD_CPP_ROOT: folders, separated by colons, in which the engine's libraries are found.
 *   ENGINE_WHEELS   folder with the wheels named in requirements-*.txt, for machines without a network.
 * pip's own settings (index, proxy, certificates) apply to the download.
 */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { fetchEngine, isComplete } = require('./fetch');
const { list } = require('./list');
const { Stop } = require('./stop');
const { VARIANT_NAMES, hasNvidiaDriver, missing, unusable } = require('./variants');

/** @typedef {import('./variants').Variant} Variant */

const ROOT = path.resolve(__dirname, '../..');
/** @type {readonly string[]} */
const CHOICES = [...VARIANT_NAMES, 'none'];
/** The first that takes several platforms at once. */
const OLDEST_PIP = [20, 3];

/** @type {(command: string, ...args: string[]) => boolean} */
const runs = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

/**
 * Paths are meant as seen from where the user typed `npm run engine`.
 *
 * @param {string} name
 */
const asked = (name) => {
  const value = process.env[name];
  return value ? path.resolve(process.env.INIT_CWD ?? ROOT, value) : undefined;
};

function chooseVariant() {
  const variant = process.env.ENGINE_VARIANT;
  if (variant && !CHOICES.includes(variant))
    throw new Stop(`Expected ${CHOICES.join(', ')} for ENGINE_VARIANT but received "${variant}".`);
  return /** @type {Variant | 'none'} */ (variant || (hasNvidiaDriver() ? 'cuda12' : 'cpu'));
}

/**
 * Before anything is fetched: what cannot be loaded here is refused, what cannot draw here is reported.
 *
 * @param {Variant} variant
 */
function requireMachine(variant) {
  const reason = unusable(variant);
  if (reason) {
    throw new Stop(
      `${reason}: set SD_CPP_ROOT to an installed stable-diffusion.cpp, or ENGINE_VARIANT=none to go without.`,
    );
  }
  const needs = missing(variant);
  if (needs.length === 0) return;
  console.log(`engine: to draw with the ${variant} engine, this machine still needs ${needs.join(' and ')}`);
}

function hasPip() {
  const { status, stdout } = spawnSync('python3', ['-m', 'pip', '--version'], { encoding: 'utf8' });
  const [major, minor] = (/^pip (\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
  return status === 0 && (major > OLDEST_PIP[0] || (major === OLDEST_PIP[0] && minor >= OLDEST_PIP[1]));
}

/**
 * Everything that is missing at once, with Debian's names for it.
 *
 * @param {boolean} fetching
 */
function requireTools(fetching) {
  const compilers = [process.env.CXX, 'c++', 'g++', 'clang++'].filter((name) => name !== undefined);
  /** @type {[name: string, debian: string, present: () => boolean][]} */
  const tools = [
    ['CMake', 'cmake', () => runs('cmake', '--version')],
    ['a C++ compiler', 'g++', () => compilers.some((compiler) => runs(compiler, '--version'))],
    ['make', 'make', () => runs('make', '--version') || runs('ninja', '--version')],
  ];
  if (fetching) {
    tools.unshift(
      ['Python 3', 'python3', () => runs('python3', '--version')],
      [`pip ${OLDEST_PIP.join('.')} or newer, which fetches the engine,`, 'python3-pip', hasPip],
    );
  }
  const missing = tools.filter(([, , present]) => !present());
  if (missing.length === 0) return;
  const names = missing.map(([name]) => name).join(' and ');
  const packages = missing.map(([, name]) => name).join(' ');
  throw new Stop(
    `Not found: ${names}. Install with \`apt-get install ${packages}\` or alike, then \`npm run engine\`; ` +
      'or set ENGINE_VARIANT=none on a machine that only serves the API.',
  );
}

/** Relative ones are resolved; the loader's own $ORIGIN stays. */
function libraryFolders() {
  const folders = (process.env.ENGINE_RPATH ?? '').split(':').filter(Boolean);
  /** @param {string} folder */
  const seen = (folder) => path.resolve(process.env.INIT_CWD ?? ROOT, folder);
  return folders.map((folder) => (folder.startsWith('$') ? folder : seen(folder))).join(':');
}

const OWN_ENGINE =
  ' Of SD_CPP_ROOT a shared library (-DSD_BUILD_SHARED_LIBS=ON) and its header are enough; a static one is taken ' +
  'through its package config, which asks for all that the engine was built with.';

/**
 * @param {Variant | 'none'} variant
 * @param {string} [source] SD_CPP_ROOT
 */
function build(variant, source) {
  const sanitize = Boolean(process.env.ENGINE_SANITIZE);
  const out = sanitize ? 'native/build-sanitize' : 'native/build';
  let cli;
  try {
    cli = require.resolve('cmake-js/bin/cmake-js');
  } catch {
    throw new Stop('The npm packages are missing: run `npm ci` first.');
  }
  // cmake-js configures only where there is no cache: with one, another variant or prefix would not take effect.
  fs.rmSync(path.join(ROOT, out, 'CMakeCache.txt'), { force: true });
  const defines = {
    SD_CPP_ROOT: source ?? '',
    ENGINE_RPATH: source ? libraryFolders() : '',
    ENGINE_VARIANT: variant,
    ENGINE_SANITIZE: sanitize ? 'ON' : 'OFF',
  };
  const args = Object.entries(defines).map(([name, value]) => `--CD${name}=${value}`);
  const command = [cli, 'build', '--directory', ROOT, '--out', out, '--log-level', 'warn', ...args];
  const result = spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8' });
  if (result.status !== 0) {
    console.error(result.stdout + result.stderr);
    throw new Stop(
      'The addon could not be built (the reason is above). `npm run engine` tries again.' +
        (source ? OWN_ENGINE : ''),
    );
  }
  console.log(`engine: addon built in ${out}`);
  if (!sanitize) tryIt();
}

/** Loads what was built, in a process of its own. A GPU may be missing: images are built on machines without. */
function tryIt() {
  const script = 'try { require("./native") } catch (e) { console.log(e.message); process.exit(1) }';
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status === 0) return;
  const reason = stdout.trim() || stderr.trim() || `killed by ${signal}`;
  throw new Stop(`The engine does not load: ${reason}`);
}

/** @param {string[]} args */
function main([argument, ...others]) {
  const listing = argument === '--list';
  const stranger = listing ? others[0] : argument;
  if (stranger !== undefined)
    throw new Stop(`Expected no argument, or --list alone, but received "${stranger}".`);
  const variant = chooseVariant();
  const source = asked('SD_CPP_ROOT');
  if (listing) return console.log(list(ROOT, variant, source));
  if (variant === 'none') return console.log('engine: skipped (ENGINE_VARIANT=none)');
  if (source) {
    if (!fs.existsSync(source)) throw new Stop(`Expected a folder for SD_CPP_ROOT but received ${source}.`);
    requireTools(false);
    return build(variant, source);
  }
  requireMachine(variant);
  const folder = path.join(ROOT, 'native/.engine', variant);
  const here = isComplete(variant, folder);
  requireTools(!here);
  if (here) console.log(`engine: stable-diffusion.cpp (${variant}) is already here`);
  else fetchEngine(variant, folder, asked('ENGINE_WHEELS'));
  build(variant);
}

try {
  main(process.argv.slice(2));
} catch (thrown) {
  const error = /** @type {NodeJS.ErrnoException} */ (thrown);
  // A call of the operating system that failed (disk full, no permission) says enough without a stack, too.
  if (!(error instanceof Stop) && !error.syscall) throw error;
  console.error(`engine: ${error.message}`);
  process.exitCode = 1;
}
