'use strict';
const path = require('node:path');

/** Finds the built addon; says what to do when it is missing or its libraries are. */
function load() {
  const build = process.env.ENGINE_SANITIZE ? 'build-sanitize' : 'build';
  const file = path.join(__dirname, build, 'Release/addon.node');
  try {
    return require(file);
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') {
      throw new Error('The engine addon is not built: run `npm run engine`.', { cause: error });
    }
    if (/libcuda\.so/.test(error.message)) {
      throw new Error(
        'The CUDA engine needs the NVIDIA driver (libcuda.so.1): install it, start the container with `--gpus all`, ' +
          'or run `ENGINE_VARIANT=cpu npm run engine`.',
        { cause: error },
      );
    }
    throw error;
  }
}

module.exports = load();
