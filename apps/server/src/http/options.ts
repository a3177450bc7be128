import type { RequestHandler } from 'express';
import type { HttpAdapterHost } from '@nestjs/core';
import { methodsAt } from '../errors/routes';

/**
 * A middleware: OPTIONS of a path that is known names its methods (RFC 9110). Some front ends look in this way whether the
 * service is there. It carries no key, as a browser's preflight, which this is not: without CORS no page reads the reply.
 */
export const answerOptions =
  (adapter: HttpAdapterHost): RequestHandler =>
  (request, response, next) => {
    const methods = request.method === 'OPTIONS' ? methodsAt(adapter, request.path) : [];
    if (methods.length === 0) return next();
    response.setHeader('Allow', [...methods, 'OPTIONS'].join(', '));
    response.status(204).end();
  };
