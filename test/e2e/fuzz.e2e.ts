import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describeWith, type Server } from '../support/requires';

const ROOT = join(__dirname, '../..');

const PYTHON: Server = {
  name: 'Python 3.11 or newer, with pip,',
  install: 'apt-get install -y --no-install-recommends python3 python3-pip',
  available: () =>
    spawnSync('python3', ['-c', 'import pip, sys; sys.exit(sys.version_info < (3, 11))']).status === 0,
};

describeWith(PYTHON, 'the API against its own document', () => {
  let child: ChildProcess;
  afterAll(() => child.kill());

  it('should answer right and wrong requests as the document says', async () => {
    // The short form of `npm run fuzz:api`.
    const options = ['--once', '--examples', '2', '--seed', '1'];
    child = spawn(process.execPath, ['checks/fuzz.api.mjs', ...options], { cwd: ROOT });
    let told = '';
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text) => (told += String(text)));
    const [code] = (await once(child, 'exit')) as [number];
    expect(code === 0 ? '' : told).toBe('');
  }, 600_000); // the first time it is installed
});
