import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { DemoFiles } from '../../libs/models/demo';
import { demoModel } from '../support/demo';

const ADDON = join(__dirname, '../../native/index.js');
const PRELUDE = `
  const { Session, onLog, dieWithParent } = require(${JSON.stringify(ADDON)});
  const small = { prompt: 'a fox', width: 64, height: 64, steps: 150, guidanceScale: 4, seed: 7 };
`;

/** Runs `script` in a Node of its own: what happens to the addon when its process ends. */
async function run(script: string, files: DemoFiles) {
  const child = spawn(process.execPath, ['--expose-gc', '-e', PRELUDE + script, files.checkpoint], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Under AddressSanitizer: what a process holds that ends in the middle of its work is no leak.
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, output: output.trim() };
}

describe('The addon: when its process ends', () => {
  let files: DemoFiles;
  beforeAll(async () => {
    files = await demoModel();
  }, 60_000);

  it('should let a process end that holds an idle session and listens to the log', async () => {
    const script = `
      onLog(() => {});
      Session.load({ model: process.argv[1] }).then(() => console.log('loaded'));`;
    expect(await run(script, files)).toEqual({ code: 0, signal: null, output: 'loaded' });
  });

  it('should stop the running picture when the process exits', async () => {
    const script = `
      onLog(() => {});
      Session.load({ model: process.argv[1] }).then((session) => {
        session.generate(small, ({ step }) => { if (step === 2) { console.log('leaving'); process.exit(3); } });
      });`;
    expect(await run(script, files)).toEqual({ code: 3, signal: null, output: 'leaving' });
  });

  // 8 bit: loading converts for seconds. Whatever the loader is at, its globals are not destroyed under it.
  it.each([5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 300, 800])(
    'should exit %i ms after a model began to load',
    async (milliseconds) => {
      const script = `
      Session.load({ model: process.argv[1], textEncoderType: 'q8_0' }).then(() => console.log('too late'));
      setTimeout(() => process.exit(4), ${milliseconds});`;
      expect(await run(script, files)).toEqual({ code: 4, signal: null, output: '' });
    },
  );

  it('should survive the loss of a session that draws and of one that idles', async () => {
    const script = `
      (async () => {
        await Session.load({ model: process.argv[1] });
        await new Promise(setImmediate);
        gc();
        const outcome = (await Session.load({ model: process.argv[1] })).generate({ ...small, steps: 1 });
        await new Promise(setImmediate);
        gc();
        console.log(await outcome.then((picture) => picture.width, (error) => error.code));
      })();`;
    expect(await run(script, files)).toEqual({ code: 0, signal: null, output: '64' });
  });

  it('should unload with a worker thread and work again in the next', async () => {
    const script = `
      const { Worker } = require('node:worker_threads');
      const source = "require('${ADDON}').devices().length > 0 && require('node:worker_threads').parentPort.postMessage('ok')";
      (async () => {
        for (let i = 0; i < 2; i++) {
          const worker = new Worker(source, { eval: true });
          worker.on('message', console.log);
          await new Promise((resolve) => worker.on('exit', resolve));
        }
      })();`;
    expect(await run(script, files)).toEqual({ code: 0, signal: null, output: 'ok\nok' });
  });
});
