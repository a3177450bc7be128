/** The parent's side of gpu/child.mjs: calls with a time limit, and what a child that died said last. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { atEnd } from '../support/benchmark.mjs';

/** @typedef {import('./child.mjs').Call} Call */
/** @typedef {Awaited<ReturnType<ReturnType<typeof engineStarter>>>} Engine */

/**
 * What came of a call. `code` and `message` where it failed: the addon's, else `died`, `time_limit`.
 *
 * @typedef {{ seconds: number, code?: string, message?: string, engineMib?: number, rssMib?: number,
 *   timings?: import('../../native/index.js').Generated['timings'], decodedInTiles?: boolean, bytes?: string, pixels?: string,
 *   loras?: import('../../native/index.js').AppliedLora[], devices?: import('../../native/index.js').Device[],
 *   backEnds?: import('../../native/index.js').BackEnd[],
 *   version?: import('../../native/index.js').EngineVersion }} Answer
 */

const CHILD = join(import.meta.dirname, 'child.mjs');
/** Lines of standard error that are told of a child that died. */
const LAST_WORDS = 4;

/**
 * @param {string} log file for all that the engines say
 * @param {Record<string, string>} variables
 */
export function engineStarter(log, variables) {
  const out = createWriteStream(log, { flags: 'a' });
  return async () => {
    const child = spawn(process.execPath, [CHILD], {
      env: { ...variables, ...process.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    atEnd(() => Promise.resolve(child.kill('SIGKILL')));
    /** @type {string[]} */
    let said = [];
    /** @type {Promise<unknown>[]} */
    const quiet = [];
    for (const input of [child.stdout, child.stderr]) {
      if (!input) continue;
      const lines = createInterface({ input });
      lines.on('line', (line) => {
        out.write(`${line}\n`);
        said.push(line);
      });
      quiet.push(once(lines, 'close'));
    }
    const ended = once(child, 'exit').then(async ([code, signal]) => {
      await Promise.all(quiet);
      return String(signal ?? `exit code ${code}`);
    });
    await once(child, 'spawn');

    return {
      alive: () => child.exitCode === null && child.signalCode === null,

      /**
       * Never rejects: a failure is a result.
       *
       * @param {Call} call
       * @param {number} limit seconds
       * @returns {Promise<Answer>}
       */
      async call(call, limit) {
        const began = performance.now();
        const seconds = () => (performance.now() - began) / 1000;
        out.write(`--- ${JSON.stringify(call)}\n`);
        said = [];
        /** @type {NodeJS.Timeout | undefined} */
        let timer;
        const late = new Promise((resolve) => (timer = setTimeout(resolve, limit * 1000, 'late')));
        const answer = once(child, 'message').then(([message]) => /** @type {Answer} */ (message));
        if (child.connected) child.send(call);
        const heard = await Promise.race([answer, ended, /** @type {Promise<'late'>} */ (late)]);
        clearTimeout(timer);
        if (typeof heard === 'object') return heard;
        if (heard === 'late') {
          child.kill('SIGKILL');
          await ended;
          return { seconds: seconds(), code: 'time_limit', message: `killed after ${Math.round(limit)} s` };
        }
        return { seconds: seconds(), code: 'died', message: [heard, ...lastWords(said)].join('; ') };
      },

      async stop() {
        child.kill('SIGKILL');
        await ended;
      },
    };
  };
}

/** Complaints before other lines. @param {string[]} lines */
function lastWords(lines) {
  const complaints = lines.filter((line) => !/^(info|debug): |^\s*$/.test(line));
  return (complaints.length ? complaints : lines).slice(-LAST_WORDS);
}
