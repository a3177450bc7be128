import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request, RequestHandler } from 'express';
import type { Params } from 'nestjs-pino';
import { stdSerializers, type LoggerOptions } from 'pino';
import type { Options } from 'pino-http';
import type { Config } from '@app/config';
import { traceIdOf } from '@app/jobs';
import { callerOf } from './auth/account';
import { PROBES } from './http/probes';
import { requestScope } from './http/request.scope';
import { terminalLog } from './terminal.log';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,100}$/;

/** A caller's own id joins its log with ours, as long as it cannot forge log lines. */
function requestId(request: IncomingMessage, response: ServerResponse): string {
  const given = request.headers['x-request-id'];
  const id = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
  response.setHeader('x-request-id', id);
  return id;
}

/** What came of a request that is no failure of the service. */
function outcome({ socket }: IncomingMessage, { writableFinished }: ServerResponse): string {
  if (writableFinished) return 'request completed';
  return socket.readableEnded || socket.errored ? 'request aborted: the client left' : 'request aborted';
}

/** Of the statuses above it the service chose each, as 503 while it drains or its queue is full. */
const isDefect = ({ statusCode }: ServerResponse) => statusCode === 500;

/** Whose request was refused or failed: an operator has to find who weighs on the others. */
function whoCalled(request: IncomingMessage) {
  const { address, key } = callerOf(request as Request);
  return { address, key };
}

/** By which the line is found from the trace. */
const traced = ({ locals }: ServerResponse & { locals?: Record<string, unknown> }) => ({
  trace_id: locals?.traceId,
});

/** Query strings may hold anything, so only the path is logged. */
const path = (url = '') => url.split('?', 1)[0];

const SECRETS = ['*.authorization', '*.cookie', '*["x-api-key"]', '*.pixels'];
const PROMPTS = ['prompt', 'negative_prompt', '*.prompt', '*.negative_prompt'];

/** Nest's own classes, which tell how the application is put together: a line for each module and each route. */
const WIRING = ['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication'];
const INFO = 30;

const wiringAtDebug: NonNullable<LoggerOptions['hooks']>['logMethod'] = function (args, method, level) {
  const { context } = (args[0] ?? {}) as { context?: string };
  if (level === INFO && context && WIRING.includes(context)) this.debug(...args);
  else method.apply(this, args);
};

/** One line an event. Never bodies or headers: prompts, keys and pictures are in them. Prompts only with LOG_PROMPTS. */
export function requestLog(config: Config): Options {
  return {
    level: config.LOG_LEVEL,
    // For a person at a terminal; anything else reads JSON.
    ...(process.stdout.isTTY && { stream: terminalLog() }),
    hooks: { logMethod: wiringAtDebug },
    genReqId: requestId,
    quietReqLogger: true, // lines inside a request carry its id only
    autoLogging: { ignore: (request) => PROBES.test(path(request.url)) },
    customLogLevel: (_request, response, error) =>
      error || isDefect(response) ? 'error' : response.statusCode >= 400 ? 'warn' : 'info',
    customSuccessMessage: outcome,
    customErrorMessage: (_request, response) => (isDefect(response) ? 'request errored' : 'request refused'),
    customSuccessObject: (request, response, line: object) =>
      response.statusCode >= 400
        ? { ...line, ...traced(response), ...whoCalled(request) }
        : { ...line, ...traced(response) },
    // Made from the status alone; the reason was logged by the error filter.
    customErrorObject: (request, response, _error, line: object) => ({
      ...line,
      ...traced(response),
      ...whoCalled(request),
      err: undefined,
    }),
    serializers: {
      req: (request: { id: string; method: string; url: string }) => ({
        id: request.id,
        method: request.method,
        path: path(request.url),
      }),
      res: (response: { statusCode: number }) => ({ status: response.statusCode }),
    },
    // A second lock, should a header or a body ever be logged by hand.
    redact: {
      paths: [...SECRETS, ...(config.LOG_PROMPTS ? [] : PROMPTS)],
      censor: '[redacted]',
    },
  };
}

/** A middleware, after pinoHttp: whatever is logged from here on for this request carries its id. */
export const carryRequestId: RequestHandler = (request, _response, next) =>
  requestScope.run({ reqId: request.id as string }, next);

/**
 * The service's own lines. Requests are logged by a middleware of app.ts, before all else, so that what is
 * refused early is logged too; nestjs-pino would bind its own to routes, later.
 */
export function logging(config: Config): Params {
  const options = requestLog(config);
  const mixin = () => {
    const { reqId, trace } = requestScope.getStore() ?? {};
    return { reqId, trace_id: traceIdOf(trace) };
  };
  const serializers = { ...options.serializers, err: describeError };
  return { pinoHttp: { ...options, mixin, serializers }, useExisting: true, forRoutes: [] };
}

/** Not what else a library hangs on its errors: ioredis, for one, the whole command, and in it a job with its prompt. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : typeof error;
  const { type, message, stack } = stdSerializers.err(error);
  return { type, message, stack, code: (error as NodeJS.ErrnoException).code };
}
