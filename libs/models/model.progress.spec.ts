import { PassThrough } from 'node:stream';
import { Logger } from '@nestjs/common';
import { percent, progressLine, TerminalProgress } from './model.progress';

const MB = 1e6;

describe(TerminalProgress.name, () => {
  let written: string;

  function stream(isTTY: boolean): NodeJS.WriteStream {
    written = '';
    const sink = new PassThrough();
    sink.on('data', (chunk: Buffer) => (written += chunk.toString()));
    const cursor = {
      isTTY,
      columns: 100,
      cursorTo: () => true,
      clearLine: () => true,
      moveCursor: () => true,
    };
    return Object.assign(sink, cursor) as unknown as NodeJS.WriteStream;
  }

  it('should draw a bar on a terminal', () => {
    const progress = new TerminalProgress(true, stream(true));
    progress.report({ phase: 'download', file: 'sdxl.safetensors', done: 0, total: 200 * MB });
    progress.report({ phase: 'download', file: 'sdxl.safetensors', done: 100 * MB, total: 200 * MB });
    progress.stop();
    expect(written).toContain('Downloading sdxl.safetensors [');
    expect(written).toContain('50 % | 100 of 200 MB');
    // the cursor is shown again
    expect(written).toContain('\u001b[?25h');
  });

  it('should draw no bar where the log is to be quiet, nor after its end', () => {
    const quiet = new TerminalProgress(false, stream(true));
    quiet.report({ phase: 'load', file: 'the model', done: 40, total: 100 });
    quiet.stop();
    expect(written).toBe('');
    const closed = new TerminalProgress(true, stream(true));
    closed.close();
    closed.report({ phase: 'load', file: 'the model', done: 40, total: 100 });
    expect(written).toBe('');
  });

  it('should log a line now and then to anything else, but none for loading', () => {
    let now = 0;
    const log = jest.spyOn(Logger.prototype, 'log').mockImplementation();
    const progress = new TerminalProgress(false, stream(false), () => now);
    for (let done = 0; done <= 100; done++) {
      progress.report({ phase: 'unpack', file: 'demo.safetensors', done: done * MB, total: 100 * MB });
      now += 300;
    }
    progress.report({ phase: 'load', file: 'the model', done: 0, total: 100 });
    progress.stop();
    expect(written).toBe('');
    expect(log.mock.calls.map(([line]) => line as string)).toEqual([
      'Unpacking demo.safetensors: 0 % (0.0 of 100.0 MB)',
      'Unpacking demo.safetensors: 34 % (34.0 of 100.0 MB)',
      'Unpacking demo.safetensors: 68 % (68.0 of 100.0 MB)',
      'Unpacking demo.safetensors: 100 % (100.0 of 100.0 MB)',
    ]);
    log.mockRestore();
  });

  it.each([
    [undefined, ''],
    [1e8, ', 41 s left at 100.0 MB/s'],
    [7e6, ', 10 min left at 7.0 MB/s'],
    [585_700, ', 1 h 57 min left at 0.6 MB/s'],
  ])('should tell of all files, and at the speed so far the time left: %s B/s', (bytesPerSecond, words) => {
    const all = { file: 4, files: 4, done: 6.4e9, total: 10.5e9, bytesPerSecond };
    const progress = { phase: 'download', file: 'x', done: 2.84e9, total: 6.94e9, all } as const;
    expect(progressLine(progress)).toBe(
      `Downloading x: 40 % (2.8 of 6.9 GB); file 4 of 4, 6.4 of 10.5 GB${words}`,
    );
    expect(percent(progress)).toBe(60);
  });

  it('should not count a single file twice', () => {
    const all = { file: 1, files: 1, done: 5e6, total: 1e7, bytesPerSecond: 2e6 };
    expect(progressLine({ phase: 'download', file: 'x', done: 5e6, total: 1e7, all })).toBe(
      'Downloading x: 50 % (5.0 of 10.0 MB); 3 s left at 2.0 MB/s',
    );
  });

  it('should not tell a time left when nothing is', () => {
    const all = { file: 1, files: 1, done: 1e7, total: 1e7, bytesPerSecond: 2e6 };
    expect(progressLine({ phase: 'download', file: 'x', done: 1e7, total: 1e7, all })).toBe(
      'Downloading x: 100 % (10.0 of 10.0 MB)',
    );
  });

  it('should count gigabytes as such', () => {
    expect(progressLine({ phase: 'download', file: 'x', done: 2.84e9, total: 6.94e9 })).toBe(
      'Downloading x: 40 % (2.8 of 6.9 GB)',
    );
  });
});
