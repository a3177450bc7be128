import { PassThrough } from 'node:stream';
import { pino } from 'pino';
import { terminalLog } from './terminal.log';

describe(terminalLog.name, () => {
  const terminal = new PassThrough();
  let written = '';
  terminal.on('data', (chunk: Buffer) => (written += chunk.toString()));
  const logger = pino(terminalLog(terminal));
  beforeEach(() => (written = ''));

  /** Without colours and the time. */
  const lines = () =>
    written
      .replace(/\u001b\[\d+m/g, '')
      .replace(/\[\d\d:\d\d:\d\d\] /g, '')
      .split('\n')
      .filter(Boolean);

  it('should take the place of a bar, at once', () => {
    logger.info({ context: 'Main' }, 'Listening');
    expect(lines()).toEqual(['\r\u001b[KINFO: Listening']);
  });

  it('should say who warns, and keep what belongs to a line', () => {
    logger.warn({ context: 'Engine 0', steps: 4 }, 'slow');
    expect(lines()).toEqual(['\r\u001b[KWARN: Engine 0: slow {"steps":4}']);
  });

  it('should tell a request by its outcome', () => {
    const req = { id: 'abc', method: 'GET', path: '/v1/jobs' };
    logger.info({ req, res: { status: 200 }, responseTime: 7, reqId: 'abc' }, 'request completed');
    expect(lines()).toEqual(['\r\u001b[KINFO: GET /v1/jobs: 200 in 7 ms {"reqId":"abc"}']);
  });

  it('should keep the stack of an error', () => {
    logger.error({ err: new Error('broken') }, 'failed');
    expect(written).toMatch(/broken[^]*at /);
  });
});
