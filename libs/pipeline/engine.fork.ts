import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { engineEnvironment } from './engine.environment';

export const ENGINE_MAIN = join(__dirname, '../../apps/engine/src/main.js');

/** Else an abort of ggml starts gdb where that is installed, and the process is dead seconds later. */
const NO_BACKTRACE = { GGML_NO_BACKTRACE: '1' };

/** @param variables added to the environment */
export const forkEngine = (main: string, variables: Readonly<Record<string, string>>): ChildProcess =>
  fork(main, {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
    // eslint-disable-next-line no-restricted-properties -- handed on, not read: the loader and the driver have theirs
    env: { ...engineEnvironment(process.env), ...NO_BACKTRACE, ...variables },
  });
