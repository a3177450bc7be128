/**
 * Part 1 of bench:gpu as a folder that runs on another machine: the scripts, the built addon, its engine, and Node. What is
 * left to the other machine: the GPU's driver, and libraries that an own engine was built with.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { readArguments } from '../support/arguments.mjs';
import { README, RUN } from './pack.texts.mjs';

const ROOT = join(import.meta.dirname, '../..');
const BUILT = 'native/build/Release';
/** The own engine's, among all that the loader finds. */
const ENGINE = /^lib(stable-diffusion|ggml)\b/;
/** Back ends that are libraries of their own are loaded by the addon; no library asks for them. */
const BACK_END = /^libggml-.*\.so$/;

const options = readArguments('Packs part 1 of bench:gpu for another machine.', {
  pack: { about: 'the folder, which must be new or empty', default: '' },
  'no-node': { about: 'without Node: the other machine has 20.19 or newer', default: false },
});

try {
  pack(resolve(process.env.INIT_CWD ?? '.', options.pack));
} catch (error) {
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}

/** @param {string} folder */
function pack(folder) {
  if (!options.pack) throw new Error('Expected a folder for --pack');
  if (!fs.existsSync(join(ROOT, BUILT, 'addon.node')))
    throw new Error('There is no addon: run npm run engine');
  if (fs.existsSync(folder) && fs.readdirSync(folder).length)
    throw new Error(`Expected a new or empty folder for --pack but ${folder} holds something`);

  const scripts = ['addon.mjs', 'child.mjs'].map((name) => join(import.meta.dirname, name));
  for (const script of [...closure(scripts), join(import.meta.dirname, 'peer.py')])
    copy(relative(ROOT, script), folder);
  for (const file of ['native/index.js', 'LICENSE', 'THIRD_PARTY_NOTICES.md']) copy(file, folder);
  for (const file of fs.readdirSync(join(ROOT, BUILT)))
    if (/\.(node|so)$/.test(file)) copy(join(BUILT, file), folder);

  const { source, variant } = builtFor();
  const wanting = source ? copyOwnEngine(folder) : [];
  if (!source) copy(join('native/.engine', variant), folder);
  if (!options['no-node']) fs.copyFileSync(process.execPath, join(folder, 'node'));
  fs.writeFileSync(join(folder, 'README.txt'), README);
  fs.writeFileSync(join(folder, 'run.sh'), RUN, { mode: 0o755 });

  console.log(`${folder}: ${megabytes(folder)} MB`);
  for (const name of ['node', 'native', 'engine', 'bench'].filter((name) =>
    fs.existsSync(join(folder, name)),
  ))
    console.log(`  ${name.padEnd(6)} ${megabytes(join(folder, name))} MB`);
  console.log(source ? 'Own engine (SD_CPP_ROOT)' : `Prebuilt engine ${variant}`);
  if (wanting.length) console.log(`Not in it, for run.sh -L: ${wanting.join(', ')}`);
}

/** Scripts, and what they import. @param {string[]} scripts */
function closure(scripts) {
  const found = new Set(scripts);
  for (const script of found)
    for (const [, name] of fs.readFileSync(script, 'utf8').matchAll(/^(?:import|\}) .*from '(\.[^']+)';/gm))
      found.add(join(dirname(script), name));
  return found;
}

/** @param {string} path inside the repository @param {string} folder */
function copy(path, folder) {
  fs.cpSync(join(ROOT, path), join(folder, path), { recursive: true, verbatimSymlinks: true });
}

/** What CMake was told when the addon was built. */
function builtFor() {
  const cache = fs.readFileSync(join(ROOT, 'native/build/CMakeCache.txt'), 'utf8');
  const value = (/** @type {string} */ name) => new RegExp(`^${name}:\\w+=(.*)$`, 'm').exec(cache)?.[1] ?? '';
  return { source: value('SD_CPP_ROOT'), variant: value('ENGINE_VARIANT') };
}

/**
 * Copies the engine's own libraries; gives back the names of the others that the system's folders do not hold.
 *
 * @param {string} folder
 */
function copyOwnEngine(folder) {
  const lines = execFileSync('ldd', [join(ROOT, BUILT, 'addon.node')], { encoding: 'utf8' }).split('\n');
  const [libraries, modules] = [join(folder, 'engine/lib'), join(folder, 'engine/bin')];
  for (const line of lines) {
    const [, name, file] = /^\s*(\S+) => (\/\S+)/.exec(line) ?? [];
    if (!name || !ENGINE.test(name)) continue;
    fs.mkdirSync(libraries, { recursive: true });
    fs.copyFileSync(file, join(libraries, name));
    if (!name.startsWith('libggml.so')) continue;
    // Where native/src/back_ends.cc looks for them.
    for (const [from, to] of [
      [dirname(file), libraries],
      [join(dirname(dirname(file)), 'bin'), modules],
    ]) {
      for (const module of fs.existsSync(from) ? fs.readdirSync(from) : []) {
        if (!BACK_END.test(module) || fs.existsSync(join(to, module))) continue;
        fs.mkdirSync(to, { recursive: true });
        fs.copyFileSync(join(from, module), join(to, basename(module)));
      }
    }
  }
  return lines.flatMap((line) => {
    const [, name, where] = /^\s*(\S+) => (\S+)/.exec(line) ?? [];
    return name && !ENGINE.test(name) && !/^\/(usr\/)?lib/.test(where) ? [name] : [];
  });
}

/** @param {string} path */
function megabytes(path) {
  return Math.ceil(bytesIn(path) / 1e6);
}

/** @param {string} path @returns {number} */
function bytesIn(path) {
  const status = fs.lstatSync(path);
  if (!status.isDirectory()) return status.size;
  return fs.readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0);
}
