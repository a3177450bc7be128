import {
  Injectable,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import type { Observable } from 'rxjs';
import { ServiceError } from '@app/errors';
import { readBody } from './body.reader';
import { HttpLimits } from './http.limits';

/**
 * Reads JSON, as an object, once the guards let the request in. Bodies of another type are not read.
 */
@Injectable()
export class JsonBody implements NestInterceptor {
  constructor(protected readonly limits: HttpLimits) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<Request>();
    const { 'content-type': type, 'content-length': length } = request.headers;
    const isJson = request.is('application/json'); // null: there is no body
    if (isJson === false && length !== '0') throw notJson(type);
    if (isJson) {
      const body = await this.read(request, context.switchToHttp().getResponse<Response>());
      if (body) request.body = parseJson(body, type);
    }
    return next.handle();
  }

  protected read(request: Request, response: Response): Promise<Buffer | undefined> {
    const { jsonBytes: bytes, bodyTimeout: timeout, bodyPace: pace } = this.limits;
    return readBody(request, response, { bytes, timeout, pace, unpacked: bytes });
  }
}

/** The route takes a JSON object as its body. */
export const TakesJson = () => UseInterceptors(JsonBody);

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** What went wrong is not repeated in the parser's words: they quote the body. */
function parseJson(body: Buffer, contentType = ''): unknown {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(contentType) ?? [];
  if (!/^utf-?8$/i.test(charset)) {
    throw new ServiceError('invalid_request', 'Expected a body in UTF-8 but received another charset');
  }
  const text = attempt(() => utf8.decode(body), 'bytes that are not UTF-8');
  return attempt(() => JSON.parse(text) as unknown, 'text that is not valid JSON');
}

function notJson(contentType?: string): ServiceError {
  const received =
    contentType === undefined ? 'no Content-Type' : `Content-Type ${contentType.slice(0, 100)}`;
  const sentence = `Expected a JSON object as the body, with Content-Type application/json, but received ${received}`;
  return new ServiceError('invalid_request', sentence);
}

function attempt<T>(read: () => T, received: string): T {
  try {
    return read();
  } catch {
    throw new ServiceError('invalid_request', `Expected a JSON object as the body but received ${received}`);
  }
}
