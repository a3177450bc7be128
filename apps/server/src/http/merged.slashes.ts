import type { RequestHandler } from 'express';

/** A middleware: where a base address that ends in a slash was joined with a path, `//v1/jobs` is meant as `/v1/jobs`. */
export const mergeSlashes: RequestHandler = (request, _response, next) => {
  // A proxy's whole address begins with its scheme.
  if (request.url.startsWith('/'))
    request.url = request.url.replace(/^[^?]*/, (path) => path.replace(/\/{2,}/g, '/'));
  next();
};
