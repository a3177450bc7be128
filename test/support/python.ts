import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** A Python of its own, with these packages, in `folder`; resolves scripts given as text to what they print. */
export function python(folder: string, ...packages: string[]): (script: string, ...args: string[]) => string {
  const home = join(folder, 'python');
  const run = (file: string, ...args: string[]) =>
    execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  run('python3', '-m', 'venv', home);
  run(join(home, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', ...packages);
  return (script, ...args) => run(join(home, 'bin/python'), '-c', script, ...args);
}
