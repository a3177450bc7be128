import type { Request } from 'express';
import { ipKeyGenerator } from 'express-rate-limit';
import { apiKeyOf } from './api.key';

/**
 * Who takes part of what all share: the key where a known one came, else the address (IPv6: a /56). Users are nobody here:
 * a caller may name as many as it likes.
 */
export function accountOf(request: Request): string {
  const key = apiKeyOf(request);
  return key ? `key:${key.name}` : `address:${ipKeyGenerator(request.ip ?? '')}`;
}
