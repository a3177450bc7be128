'use strict';
/** Preloaded into the service (node --require): its engine processes run the stand-in. */
const { createRequire } = require('node:module');
const path = require('node:path');

const built = createRequire(path.join(__dirname, '../../dist/libs/pipeline/'));
/** @type {{ ENGINE_MAIN: string }} */
const fork = built('./engine.fork.js');
fork.ENGINE_MAIN = path.join(__dirname, 'quick.engine.cjs');
