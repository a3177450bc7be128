import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEMO_CACHE, temporaryFolder } from '../support/demo';

const MAIN = join(__dirname, '../../dist/apps/server/src/main.js');
const WIRING = /InstanceLoader|RouterExplorer|dependencies initialized|Mapped \{/;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** What is to be seen at the end: a line without colours, of which only what was written last is left. */
const seen = (written: string) =>
  written
    .split(/\r?\n/)
    .map((line) =>
      line
        .split(/\r|\u001b\[1G/)
        .at(-1)!
        .replace(/\u001b(\[[?\d;]*[A-Za-z]|[78])/g, ''),
    )
    .filter((line) => line.trim() !== '');

describe('The start of the service', () => {
  const DATA_DIR = temporaryFolder();
  const env = { PATH: process.env.PATH, MODEL_PATH: 'demo', DEMO_CACHE, DATA_DIR, SHUTDOWN_DELAY: '0' };
  const processes: ChildProcess[] = [];
  afterEach(() => processes.splice(0).forEach((child) => child.kill('SIGKILL')));

  it.each([
    ['info', true],
    ['warn', false],
  ])('should be lines of JSON in a file, each with its level: LOG_LEVEL=%s', async (LOG_LEVEL, talks) => {
    const PORT = String(await freePort());
    const variables = { ...env, LOG_LEVEL, PORT, API_KEY_FILE: '/keys.json' };
    const child = spawn(process.execPath, [MAIN], { env: variables, cwd: DATA_DIR });
    processes.push(child);
    let written = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (written += chunk.toString()));
    const ready = async () => (await fetch(`http://127.0.0.1:${PORT}/health/ready`)).ok;
    while (!(await ready().catch(() => false))) await sleep(100);
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([0, null]);

    const lines = written
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { level: number; msg: string });
    expect(lines.filter(({ level }) => !(level >= (talks ? 30 : 40)))).toEqual([]);
    expect(lines.filter((line) => WIRING.test(JSON.stringify(line)))).toEqual([]);
    const said = lines.map(({ msg }) => msg).join('\n');
    for (const words of ['Listening on', 'Ready: demo on', 'The demo is ready', 'Stopped'])
      expect([words, said.includes(words)]).toEqual([words, talks]);
    expect(said).toContain(
      'API_KEY_FILE is no variable of the service and not read: is API_KEYS_FILE meant?',
    );
  });

  it.each(['203.0.113.1', 'nobody.invalid'])(
    'should end in a sentence where HOST=%s is none of this machine',
    async (HOST) => {
      const variables = { ...env, PORT: '0', HOST, ALLOW_ANONYMOUS: 'true' };
      const child = spawn(process.execPath, [MAIN], { env: variables, cwd: DATA_DIR });
      processes.push(child);
      let told = '';
      child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
      expect(await once(child, 'close')).toEqual([1, null]);
      expect(told).toMatch(/^HOST must be an address of this machine$/m);
    },
  );

  it('should be a few lines and a bar at a terminal, and one line at its end', async () => {
    const variables = { ...env, PORT: '0', TERM: 'xterm' };
    const command = `stty columns 80; exec '${process.execPath}' '${MAIN}'`;
    // A pseudo-terminal of util-linux.
    const terminal = spawn('script', ['-qfec', command, '/dev/null'], {
      env: variables,
      cwd: DATA_DIR,
    });
    processes.push(terminal);
    let written = '';
    terminal.stdout.on('data', (chunk: Buffer) => (written += chunk.toString()));
    const ended = once(terminal, 'exit');
    while (!written.includes('Ctrl-C stops the service')) await sleep(100);
    const started = seen(written);
    terminal.stdin.write('\u0003');
    await ended;

    expect(written).toMatch(/Loading the model \[[=-]+\] \d+ %/);
    expect(written).toContain('\u001b[?25h'); // the cursor is there again
    expect(started.map((line) => line.replace(/^\[\d\d:\d\d:\d\d\] /, ''))).toEqual([
      expect.stringMatching(/^INFO: Listening on http:\/\/127\.0\.0\.1:\d+$/),
      expect.stringMatching(/^Loading the model \[=+\] 100 %$/),
      expect.stringMatching(/^INFO: Ready: demo on CPU \(.+\) \{"load_ms":\d+\}$/),
      expect.stringMatching(/^INFO: The demo is ready: http/),
      expect.stringMatching(/^ {2}curl -s http.+\\$/),
      expect.stringMatching(/^ {4}-d '\{"prompt"/),
      expect.stringMatching(/^and open the address .+ Ctrl-C stops the service\.$/),
    ]);
    expect(seen(written.slice(written.indexOf('Ctrl-C stops'))).slice(1)).toEqual([
      expect.stringMatching(/^\[\d\d:\d\d:\d\d\] INFO: Stopped$/),
    ]);
  });
});
