import { once } from 'node:events';
import type { Request, RequestHandler, Response } from 'express';
import pLimit from 'p-limit';
import { ServiceError } from '@app/errors';
import { PICTURE_TYPES } from '../users/users.service';
import { readBody } from './body.reader';
import type { HttpLimits } from './http.limits';

const USER_PICTURE = /^\/v1\/users\/[^/]+\/(avatar|photo)\/?$/i;

/** JSON of POSTs, as an object. Bodies of another type are not read: the validation says what was expected. */
export function jsonBodies({ jsonBytes: bytes, bodyTimeout: timeout }: HttpLimits): RequestHandler {
  return async (request, response, next) => {
    if (request.method === 'POST' && request.is('application/json')) {
      const body = await readBody(request, response, { bytes, timeout, compressed: true });
      if (body) request.body = parseJson(body, request.headers['content-type']);
    }
    next();
  };
}

/**
 * Users' pictures, as bytes. Only so many are in memory at a time: one keeps its place from its first bytes to its
 * reply, since until it is decoded it is held whole.
 */
export function pictureBodies(limits: HttpLimits): RequestHandler {
  const { pictureBytes: bytes, bodyTimeout: timeout, freeBytes: above, pictures } = limits;
  const places = pLimit(pictures);
  const takePlace = (response: Response) =>
    new Promise<void>((resolve) => {
      void places(async () => {
        resolve();
        // Left meanwhile: the place goes to the next one.
        if (!response.destroyed && !response.writableFinished) await once(response, 'close');
      });
    });
  return async (request, response, next) => {
    if (isUserPicture(request)) {
      const place = { above, take: () => takePlace(response) };
      request.body = await readBody(request, response, { bytes, timeout, compressed: false, place });
    }
    next();
  };
}

/**
 * A client that was answered before its body was in may end it, so that it reads the answer and keeps its connection;
 * one that does not end is cut.
 */
export function unreadBodies({ linger }: HttpLimits): RequestHandler {
  return (request, response, next) => {
    response.once('finish', () => {
      if (request.complete) return;
      request.resume();
      setTimeout(() => {
        if (!request.complete) request.socket.destroy();
      }, linger).unref();
    });
    next();
  };
}

/** Pictures are told apart by content, so a body without a Content-Type (`curl -T`) is welcome. */
function isUserPicture({ method, path, headers }: Request): boolean {
  const type = headers['content-type']?.split(';', 1)[0].trim().toLowerCase();
  const welcome = type === undefined || PICTURE_TYPES.includes(type);
  return method === 'PUT' && USER_PICTURE.test(path) && welcome;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** What went wrong is not told in the parser's words: they quote the body. */
function parseJson(body: Buffer, contentType = ''): unknown {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(contentType) ?? [];
  if (!/^utf-?8$/i.test(charset)) {
    throw new ServiceError('invalid_request', 'Expected a body in UTF-8 but received another charset');
  }
  const text = attempt(() => utf8.decode(body), 'bytes that are not UTF-8');
  return attempt(() => JSON.parse(text) as unknown, 'text that is not valid JSON');
}

function attempt<T>(read: () => T, received: string): T {
  try {
    return read();
  } catch {
    throw new ServiceError('invalid_request', `Expected a JSON object as the body but received ${received}`);
  }
}
