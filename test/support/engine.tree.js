'use strict';
/** A folder with the built service and an addon over another engine than the repository's own: native/ stays as it is. */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.join(__dirname, '../..');
const CODE = ['native/engine', 'native/src', 'native/index.js', 'CMakeLists.txt', 'package.json'];

class EngineTree {
  /**
   * @param {string} folder does not exist yet
   * @param {'cpu' | 'cuda12' | 'vulkan'} variant as ENGINE_VARIANT
   * @param {boolean} alone without the libraries that the variant's engine needs beside itself: those of CUDA are 400 MB
   */
  constructor(folder, variant, alone = false) {
    this.folder = folder;
    this.variant = variant;
    this.cache = path.join(ROOT, 'native/.engine', alone ? 'alone' : '');
    for (const part of CODE) fs.cpSync(path.join(ROOT, part), path.join(folder, part), { recursive: true });
    fs.mkdirSync(this.cache, { recursive: true });
    fs.symlinkSync(this.cache, path.join(folder, 'native/.engine'));
    fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    if (alone) this.pinAlone();
  }

  /** Downloads the pinned engine unless it is here. Throws with the reason. */
  fetch() {
    const { variant } = this;
    const script = `
      const { fetchEngine, isComplete } = require('./native/engine/fetch');
      const folder = ${JSON.stringify(path.join(this.cache, variant))};
      try {
        if (!isComplete('${variant}', folder)) fetchEngine('${variant}', folder, process.env.ENGINE_WHEELS);
      } catch (error) {
        console.error(error.message);
        process.exitCode = 1;
      }`;
    this.run(['-e', script]);
  }

  /** Builds the addon, and lays everything that runs into the folder, engine included. */
  build() {
    this.run(['native/engine/install.js']);
    const engine = path.join(this.folder, 'native/.engine');
    fs.unlinkSync(engine);
    linkFolder(path.join(this.cache, this.variant), path.join(engine, this.variant));
    fs.cpSync(path.join(ROOT, 'dist'), path.join(this.folder, 'dist'), { recursive: true });
    fs.mkdirSync(path.join(this.folder, 'libs/models'), { recursive: true });
    fs.symlinkSync(path.join(ROOT, 'libs/models/demo'), path.join(this.folder, 'libs/models/demo'));
  }

  /** Where the engine's own libraries lie; what is written there replaces its link, not the engine's own file. */
  get libraries() {
    return path.join(this.folder, 'native/.engine', this.variant, `inferna_${this.variant}.libs`);
  }

  /**
   * As image layers are.
   *
   * @param {string} folder
   */
  moveTo(folder) {
    fs.renameSync(this.folder, folder);
    this.folder = folder;
  }

  /**
   * The names of the devices that the built addon lists, when it is asked for nothing else.
   *
   * @param {Record<string, string>} [variables]
   */
  devices(variables) {
    const script = "console.log(require('./native').devices().map(({ name }) => name).join())";
    return this.run(['-e', script], variables).trim().split(',');
  }

  pinAlone() {
    const file = path.join(this.folder, `native/engine/requirements-${this.variant}.txt`);
    const pins = fs.readFileSync(file, 'utf8').split('\n');
    fs.writeFileSync(file, pins.filter((line) => line.startsWith('inferna')).join('\n'));
  }

  /**
   * Node with these arguments, in the folder. Returns what it prints; throws what it complains of.
   *
   * @param {string[]} args
   * @param {Record<string, string>} [variables]
   */
  run(args, variables = {}) {
    const env = { ...process.env };
    delete env.ENGINE_SANITIZE;
    const wheels = env.ENGINE_WHEELS && path.resolve(env.INIT_CWD ?? ROOT, env.ENGINE_WHEELS);
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: this.folder,
      encoding: 'utf8',
      env: {
        ...env,
        ENGINE_VARIANT: this.variant,
        ENGINE_WHEELS: wheels ?? '',
        SD_CPP_ROOT: '',
        CMAKE_BUILD_PARALLEL_LEVEL: String(os.availableParallelism()),
        ...variables,
      },
    });
    if (status !== 0) throw new Error(stderr.trim());
    return stdout;
  }
}

/**
 * By hard links where the file system allows: the CUDA libraries are 900 MB.
 *
 * @param {string} from
 * @param {string} to
 */
function linkFolder(from, to) {
  fs.mkdirSync(to, { recursive: true });
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) linkFolder(source, target);
    else if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(source), target);
    else {
      try {
        fs.linkSync(source, target);
      } catch {
        fs.copyFileSync(source, target);
      }
    }
  }
}

/**
 * Builds the libraries of cuda-standin/ into `folder`, or the one of that name.
 *
 * @param {string} folder
 */
function buildCudaStandin(folder, name = '') {
  const build = path.join(__dirname, 'cuda-standin/build.sh');
  const { status, stderr, error } = spawnSync('sh', [build, folder, name], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`The CUDA stand-in does not build: ${error?.message ?? stderr}`);
}

module.exports = { EngineTree, buildCudaStandin };
