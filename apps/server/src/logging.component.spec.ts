import type { IncomingMessage } from 'node:http';
import { Body, Controller, Get, Injectable, Logger, Module, Param, Post } from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Logger as PinoLogger, LoggerModule } from 'nestjs-pino';
import { pino } from 'pino';
import { pinoHttp } from 'pino-http';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '@app/config';
import { ServiceError, type ErrorCode } from '@app/errors';
import { until } from '../../../test/support/eventually';
import { http } from '../../../test/support/http';
import { RawConnection } from '../../../test/support/raw.connection';
import { grant } from './auth/api.key';
import { ErrorFilter } from './errors/error.filter';
import { HttpLimits } from './http/http.limits';
import { BoundedAdapter } from './http/http.server';
import { TakesJson } from './http/json.body';
import { carryRequestId, logging, requestLog } from './logging';

interface Line {
  readonly msg: string;
  readonly reqId?: string;
  readonly context?: string;
  readonly level: number;
}

/** As far from HTTP as services are. */
@Injectable()
class DeepService {
  private readonly logger = new Logger(DeepService.name);

  async work(): Promise<string> {
    await sleep(20);
    await Promise.all([sleep(5), Promise.resolve()]);
    this.logger.log('deep inside');
    setImmediate(() =>
      this.logger.warn({ prompt: 'a secret', nested: { prompt: 'a secret' } }, 'afterwards'),
    );
    return 'done';
  }
}

@Controller()
class DeepController {
  constructor(private readonly deep: DeepService) {}

  @Get('deep')
  get() {
    return this.deep.work();
  }

  @Get('refused/:code')
  refuse(@Param('code') code: ErrorCode) {
    throw new ServiceError(code, 'No');
  }

  @Post('deep')
  @TakesJson()
  post(@Body() body: unknown) {
    return body;
  }
}

describe(logging.name, () => {
  let app: NestExpressApplication;
  let url: string;
  const lines: Line[] = [];

  beforeAll(async () => {
    const stream = { write: (text: string) => lines.push(JSON.parse(text) as Line) };
    const config = loadConfig({});
    const params = logging(config);
    const pino = { ...(params.pinoHttp as object), stream };

    @Module({
      imports: [LoggerModule.forRoot({ ...params, pinoHttp: pino })],
      controllers: [DeepController],
      providers: [
        DeepService,
        { provide: HttpLimits, useValue: new HttpLimits() },
        { provide: APP_FILTER, useClass: ErrorFilter },
      ],
    })
    class DeepModule {}

    const adapter = new BoundedAdapter(new HttpLimits());
    const options = { bufferLogs: true, bodyParser: false };
    app = await NestFactory.create<NestExpressApplication>(DeepModule, adapter, options);
    app.useLogger(app.get(PinoLogger));
    app.use((request: IncomingMessage, _response: unknown, next: () => void) => {
      const name = request.headers['x-key'];
      const { signal: revoked } = new AbortController();
      if (typeof name === 'string') grant(request, { name, scopes: [], revoked });
      next();
    });
    app.use(pinoHttp({ ...requestLog(config), stream }), carryRequestId);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterAll(() => app.close());

  it('should put the id of the request into every line that is logged for it, and into no other', async () => {
    await Promise.all(
      ['abc-1', 'abc-2'].map((id) => http(url).get('/deep').set('X-Request-Id', id).expect(200)),
    );
    await sleep(20);
    new Logger('Elsewhere').log('on its own');
    const of = (id?: string) =>
      lines.filter(({ reqId, context }) => reqId === id && !/Nest|Route|Instance/.test(context ?? ''));
    for (const id of ['abc-1', 'abc-2']) {
      expect(
        of(id)
          .map(({ msg }) => msg)
          .sort(),
      ).toEqual(['afterwards', 'deep inside', 'request completed']);
    }
    expect(of(undefined).map(({ msg }) => msg)).toContain('on its own');
  });

  it.each<[ErrorCode, number]>([
    ['generation_failed', 50],
    ['draining', 40],
    ['queue_full', 40],
    ['deadline_exceeded', 40],
    ['invalid_request', 40],
  ])('should take what the service refuses by intention for no error: %s', async (code, level) => {
    const before = lines.length;
    await http(url).get(`/refused/${code}`);
    const told = () => lines.slice(before).filter(({ msg }) => msg !== 'No');
    await until(() => told().length === 1);
    const msg = {
      50: 'request errored',
      40: code === 'invalid_request' ? 'request completed' : 'request refused',
    };
    expect(told()[0]).toMatchObject({ level, msg: msg[level as 40 | 50] });
    expect(lines.slice(before).every((line) => line.level <= level)).toBe(true);
  });

  it('should name address and key of a request that was refused, and of no other', async () => {
    await http(url).get('/nothing').set('x-request-id', 'refused-1').set('x-key', 'ann').expect(404);
    await http(url).get('/deep').set('x-request-id', 'served-1').set('x-key', 'ann').expect(200);
    const ends = (id: string) => lines.find(({ reqId, msg }) => reqId === id && msg === 'request completed');
    await until(() => lines.filter(({ reqId }) => reqId === 'served-1').length === 3);
    expect(ends('refused-1')).toMatchObject({ address: '127.0.0.1', key: 'ann' });
    expect(ends('served-1')).not.toHaveProperty('address');
    expect(ends('served-1')).not.toHaveProperty('key');
  });

  describe('when the client leaves', () => {
    let before: number;
    beforeEach(() => (before = lines.length));
    const half = (id: string, length: number) =>
      RawConnection.open(
        url,
        `POST /deep HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ${id}\r\nContent-Type: application/json\r\n` +
          `Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n{"prompt":`,
      );
    /** What was logged since, once nobody is connected. */
    async function told(): Promise<unknown[]> {
      const server = app.getHttpServer();
      const connections = () =>
        new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
      await until(async () => (await connections()) === 0);
      return lines.slice(before).map(({ msg, reqId }) => [msg, reqId]);
    }

    it.each<[string, (connection: RawConnection) => unknown]>([
      ['ends', ({ socket }) => socket.end()],
      ['resets', ({ socket }) => socket.resetAndDestroy()],
    ])('should say so once, by the request whose body it %s', async (how, leave) => {
      const connection = await half(how, 50);
      await connection.until(() => connection.received.includes('100 Continue'), 'the body is read');
      leave(connection);
      expect(await told()).toEqual([['request aborted: the client left', how]]);
      expect(connection.received).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    });

    it('should say nothing of a body that it breaks off because it was refused', async () => {
      const connection = await half('refused', 1_000_000);
      expect((await connection.reply()).status).toBe(413);
      connection.socket.end();
      expect(await told()).toEqual([['request completed', 'refused']]);
      expect(connection.received.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    });

    it('should say so where no request had begun', async () => {
      const connection = await RawConnection.open(url, 'GET / HTTP/1.1\r\nHos');
      connection.socket.end();
      expect(await told()).toEqual([
        ['The client closed the connection in the middle of a request', expect.any(String)],
      ]);
    });
  });

  it('should tell an error with its causes, and nothing of what a library hung on it', () => {
    const error = Object.assign(new Error('refused', { cause: new Error('out of memory') }), {
      code: 'OOM',
      command: { args: ['a secret'] },
    });
    new Logger('Elsewhere').error({ err: error }, 'failed');
    expect(lines.at(-1)).toMatchObject({
      msg: 'failed',
      err: {
        type: 'Error',
        code: 'OOM',
        message: 'refused: out of memory',
        stack: expect.stringContaining('at '),
      },
    });
  });

  it('should not hold requests of probes and scrapers, and only theirs', async () => {
    const before = lines.length;
    for (const path of ['/health/ready', '/metrics', '/metrics/', '/METRICS', '/metricsx', '/healthy']) {
      await http(url).get(path).set('X-Request-Id', path.slice(1).replace(/\//g, '-'));
    }
    const ids = lines.slice(before).map(({ reqId }) => reqId);
    expect(ids).toEqual(['metricsx', 'healthy']);
  });

  it("should not hold Nest's wiring", () => {
    new Logger('Elsewhere').log('on its own');
    const contexts = new Set(lines.map(({ context }) => context));
    expect([...contexts].filter((context) => /Nest|Route|Instance/.test(context ?? ''))).toEqual([]);
    expect(contexts).toContain('Elsewhere');
  });

  it.each([
    ['info', ['Listening', 'careful']],
    ['debug', ['Mapped', 'Listening', 'careful']],
  ])("should hold Nest's wiring at debug alone: LOG_LEVEL=%s", (LOG_LEVEL, expected) => {
    const held: (Line & { level: number })[] = [];
    const stream = { write: (text: string) => held.push(JSON.parse(text) as (typeof held)[0]) };
    const logger = pino(requestLog(loadConfig({ LOG_LEVEL })), stream);
    logger.info({ context: 'RouterExplorer' }, 'Mapped');
    logger.info({ context: 'Main' }, 'Listening');
    logger.warn({ context: 'NestApplication' }, 'careful');
    const levels: Record<string, number> = { Mapped: 20, Listening: 30, careful: 40 };
    expect(held.map(({ level, msg }) => [msg, level])).toEqual(expected.map((msg) => [msg, levels[msg]]));
  });

  it('should not repeat a prompt that somebody logs', () => {
    expect(JSON.stringify(lines)).toContain('[redacted]');
    expect(JSON.stringify(lines)).not.toContain('a secret');
  });
});
