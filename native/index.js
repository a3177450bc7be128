'use strict';
const path = require('node:path');

/**
 * What a complaint of the loader or of a back end means, and what to do. Readiness shows these sentences.
 *
 * @type {[RegExp, string][]}
 */
const MEANINGS = [
  [
    /libcuda\.so/,
    'the NVIDIA driver (libcuda.so.1) is not here: install it, or start the container with `--gpus all`',
  ],
  [
    /driver version is insufficient/,
    'the NVIDIA driver is too old for CUDA 12: `nvidia-smi` must show version 550 or newer',
  ],
  [/libvulkan\.so/, 'libvulkan.so.1 is missing: install it, for example with `apt-get install libvulkan1`'],
  [
    /libggml-vulkan.*returned NULL/,
    'no Vulkan driver is here: `vulkaninfo --summary` must list a device (for AMD and Intel `apt-get install mesa-vulkan-drivers`)',
  ],
  [/libgomp\.so/, 'libgomp.so.1 is missing: install it, for example with `apt-get install libgomp1`'],
  [
    /libstable-diffusion\.so: cannot open/,
    'The engine that the addon was built for is gone: run `npm run engine`',
  ],
  [
    /([^\s/]+\.so[.\d]*): cannot open shared object file/,
    '$1 is missing. With the prebuilt engine `npm run engine` brings it; for an own engine (SD_CPP_ROOT) name its folder ' +
      'in LD_LIBRARY_PATH, or in ENGINE_RPATH for `npm run engine`',
  ],
];

/** @param {string} complaint */
function meaningOf(complaint) {
  for (const [words, meaning] of MEANINGS) {
    const found = words.exec(complaint);
    if (found) return meaning.replace('$1', found[1]);
  }
  return undefined;
}

/**
 * Finds the built addon; says what to do when it is missing or its libraries are.
 *
 * @returns {typeof import('./index')}
 */
function load() {
  const build = process.env.ENGINE_SANITIZE ? 'build-sanitize' : 'build';
  const file = path.join(__dirname, build, 'Release/addon.node');
  try {
    return /** @type {typeof import('./index')} */ (require(file));
  } catch (thrown) {
    const error = /** @type {NodeJS.ErrnoException} */ (thrown);
    if (error.code === 'MODULE_NOT_FOUND')
      throw new Error('The engine addon is not built: run `npm run engine`', { cause: error });
    if (error.code !== 'ERR_DLOPEN_FAILED') throw error;
    throw new Error(meaningOf(error.message) ?? `The engine addon does not load: ${error.message}`, {
      cause: error,
    });
  }
}

const addon = load();

/** What the loader said stays: a driver that is there and not found is looked for with its words. */
function backEnds() {
  return addon.backEnds().map((backEnd) => {
    const meaning = meaningOf(backEnd.problem ?? '');
    return meaning ? { ...backEnd, problem: `${meaning} (${backEnd.problem})` } : backEnd;
  });
}

module.exports = { ...addon, backEnds };
