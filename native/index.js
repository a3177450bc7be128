'use strict';
const path = require('node:path');

/** What the loader's complaint means, and what to do. Readiness shows these sentences. */
const MEANINGS = [
  [
    /libcuda\.so/,
    'no GPU device: the NVIDIA driver (libcuda.so.1) is not here. Install it, start the container with `--gpus all`, ' +
      'or take the CPU engine (ENGINE_VARIANT=cpu)',
  ],
  [/libgomp\.so/, 'libgomp.so.1 is missing: install it, for example with `apt-get install libgomp1`'],
  [/libstable-diffusion\.so/, 'The engine that the addon was built for is gone: run `npm run engine`'],
];

/** Finds the built addon; says what to do when it is missing or its libraries are. */
function load() {
  const build = process.env.ENGINE_SANITIZE ? 'build-sanitize' : 'build';
  const file = path.join(__dirname, build, 'Release/addon.node');
  try {
    return require(file);
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND')
      throw new Error('The engine addon is not built: run `npm run engine`', { cause: error });
    if (error.code !== 'ERR_DLOPEN_FAILED') throw error;
    const [, meaning] = MEANINGS.find(([complaint]) => complaint.test(error.message)) ?? [];
    throw new Error(meaning ?? `The engine addon does not load: ${error.message}`, { cause: error });
  }
}

module.exports = load();
