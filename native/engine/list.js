'use strict';
/** `npm run engine -- --list`: what there is for this machine. Needs neither a network nor the npm packages. */
const fs = require('node:fs');
const path = require('node:path');
const { isComplete } = require('./fetch');
const { VARIANTS, VARIANT_NAMES, glibc, missing, unusable } = require('./variants');

/** @typedef {import('./variants').Variant} Variant */

const HEAD = ['variant', 'draws on', 'download', 'on disk', 'state', 'missing here'];
const RIGHT_ALIGNED = [2, 3];

/**
 * What the built addon's RPATH leads to: a variant, an own engine, or undefined where nothing is built.
 *
 * @param {string} root
 */
function engineOfAddon(root) {
  const addon = path.join(root, 'native/build/Release/addon.node');
  if (!fs.existsSync(addon)) return undefined;
  return /\$ORIGIN\/[./]*\.engine\/(\w+)\/inferna/.exec(fs.readFileSync(addon, 'latin1'))?.[1] ?? 'own';
}

/**
 * @param {Variant} variant
 * @param {string} folder
 */
function stateOf(variant, folder) {
  if (isComplete(variant, folder)) return 'installed';
  return fs.existsSync(folder) ? 'damaged or old' : 'not installed';
}

/**
 * @param {string} root the project's folder
 * @param {Variant | 'none'} chosen what `npm run engine` would take
 * @param {string} [source] SD_CPP_ROOT
 */
function list(root, chosen, source) {
  const used = engineOfAddon(root);
  const rows = VARIANT_NAMES.map((variant) => {
    const { draws, download, disk } = VARIANTS[variant];
    const state = stateOf(variant, path.join(root, 'native/.engine', variant));
    const absent = [unusable(variant), ...missing(variant)].filter(Boolean).join('; ') || 'nothing';
    const use = used === variant ? `${state}, in use` : state;
    return [variant, draws, `${download} MB`, `${disk} MB`, use, absent];
  });
  const widths = HEAD.map((_, column) => Math.max(...[HEAD, ...rows].map((row) => row[column].length)));
  /** @type {(cell: string, column: number) => string} */
  const pad = (cell, column) =>
    RIGHT_ALIGNED.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]);
  const table = [HEAD, ...rows].map((row) => row.map(pad).join('  ').trimEnd());
  return [...table, '', ...remarks(used, chosen, source)].join('\n');
}

/**
 * @param {string | undefined} used
 * @param {Variant | 'none'} chosen
 * @param {string} [source]
 */
function remarks(used, chosen, source) {
  const { platform, arch } = process;
  const libc = glibc() ? `, glibc ${glibc()}` : '';
  let built = `The addon is built over the ${used} engine.`;
  if (used === undefined) built = 'The addon is not built: `npm run engine` does it.';
  if (used === 'own') built = 'The addon is built over an own engine (SD_CPP_ROOT).';
  const next = source
    ? `SD_CPP_ROOT is ${source}: \`npm run engine\` builds over that engine and fetches none.`
    : `\`npm run engine\` takes ${chosen}; ENGINE_VARIANT takes another, or none on a machine that only serves the API.`;
  return [`This machine: ${platform} ${arch}${libc}.`, built, next];
}

module.exports = { engineOfAddon, list };
