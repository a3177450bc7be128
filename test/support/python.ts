import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** OpenAI's own client. */
export const OPENAI_FOR_PYTHON = 'openai==3.57.0';

const execute = promisify(execFile);

/** A Python of its own, with these packages, in `folder`. Resolves scripts, given as text, to what they print. */
export async function python(
  folder: string,
  ...packages: string[]
): Promise<(script: string, ...args: string[]) => Promise<string>> {
  const home = join(folder, 'python');
  await execute('python3', ['-m', 'venv', home]);
  const options = ['--quiet', '--disable-pip-version-check'];
  await execute(join(home, 'bin/pip'), ['install', ...options, ...packages]);
  return async (script, ...args) => (await execute(join(home, 'bin/python'), ['-c', script, ...args])).stdout;
}
