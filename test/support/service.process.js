'use strict';
/** How tests, checks and benchmarks start the built service: as its users run it, with the real engine under it. */
const { spawn } = require('node:child_process');
const events = require('node:events');
const { existsSync, readFileSync } = require('node:fs');
const path = require('node:path');
const { createInterface } = require('node:readline');

const ROOT = path.join(__dirname, '../..');

/** The checkpoint of the repository. */
const DEMO = { MODEL_PATH: 'demo', DEMO_CACHE: path.join(ROOT, 'data/demo') };

/**
 * @typedef {object} StartOptions
 * @property {string} [root] where it is built, else this repository
 * @property {readonly string[]} [nodeArguments]
 * @property {boolean} [ipc] with a channel to speak to it
 * @property {(line: string) => void} [onLine] gets every line of its log
 */

class ServiceProcess {
  /** The last lines of its log. */
  lines = /** @type {string[]} */ ([]);

  /**
   * @private
   * @param {import('node:child_process').ChildProcess} child
   * @param {StartOptions['onLine']} onLine
   */
  constructor(child, onLine) {
    this.child = child;
    this.url = '';
    /** Rejects when the process ends. */
    this.ended = events
      .once(child, 'exit')
      .then(() => Promise.reject(new Error(`The service ended:\n${this.lines.join('\n')}`)));
    this.ended.catch(() => {}); // for those who care
    /** @type {Promise<string>} */
    this.address = new Promise((resolve) => {
      for (const input of [child.stdout, child.stderr]) {
        if (!input) continue;
        createInterface({ input }).on('line', (line) => {
          if (this.lines.push(line) > 50) this.lines.shift();
          onLine?.(line);
          const listening = /Listening on (http:[^"\s]+)/.exec(line);
          if (listening) resolve(listening[1]);
        });
      }
    });
  }

  /**
   * Resolves once it listens, on a free port. Of this process' environment it gets all but the service's own variables.
   *
   * @param {Readonly<Record<string, string>>} variables with DATA_DIR
   * @param {StartOptions} [options]
   */
  static async start(variables, { root = ROOT, nodeArguments = [], ipc = false, onLine } = {}) {
    const main = path.join(root, 'dist/apps/server/src/main.js');
    if (!existsSync(main)) throw new Error('The service is not built: run npm run build');
    const child = spawn(process.execPath, [...nodeArguments, main], {
      cwd: variables.DATA_DIR, // where it finds nobody's .env
      // Nobody else calls, and these callers do so as fast as they can; nor does a balancer have to hear of its end.
      env: { ...environment(), PORT: '0', RATE_LIMIT_PER_ADDRESS: '0', SHUTDOWN_DELAY: '0', ...variables },
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? [/** @type {const} */ ('ipc')] : [])],
      detached: true, // a process group of its own, for killGroup
    });
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    const service = new ServiceProcess(child, onLine);
    service.url = await Promise.race([service.address, service.ended]);
    return service;
  }

  get pid() {
    return /** @type {number} */ (this.child.pid);
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** The engine process, or undefined while there is none. */
  get enginePid() {
    return childrenOf(this.pid).find((pid) => commandOf(pid).includes('apps/engine'));
  }

  /** The service and its engines at once, as a machine dies. */
  async killGroup() {
    process.kill(-this.pid, 'SIGKILL');
    if (this.alive) await events.once(this.child, 'exit');
  }

  /**
   * Resolves to how the process ended.
   *
   * @param {NodeJS.Signals} [signal]
   */
  async stop(signal = 'SIGTERM') {
    if (this.alive) {
      this.child.kill(signal);
      await events.once(this.child, 'exit');
    }
    return { code: this.child.exitCode, signal: this.child.signalCode };
  }
}

function environment() {
  const config = /** @type {{ CONFIG_VARIABLES: readonly string[] }} */ (
    require(path.join(ROOT, 'dist/libs/config/config.js'))
  );
  const others = new Set([...config.CONFIG_VARIABLES, 'NODE_ENV']);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !others.has(name)));
}

/**
 * Whether a process is there and not a zombie.
 *
 * @param {number} pid
 */
const isAlive = (pid) => /^State:\s+[^Z\s]/m.test(readNow(`/proc/${pid}/status`));

/** @param {number} pid */
const childrenOf = (pid) =>
  readNow(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);

/** @param {number} pid */
const commandOf = (pid) => readNow(`/proc/${pid}/cmdline`);

/** @param {string} file of a process that may be gone */
function readNow(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

module.exports = { DEMO, isAlive, ServiceProcess };
