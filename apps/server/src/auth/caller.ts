import type { Request } from 'express';
import { ipKeyGenerator } from 'express-rate-limit';
import { apiKeyOf } from './api.key';

/** By whom requests are counted: the key where a known one came, else the address (IPv6: its /56). */
export function callerOf(request: Request) {
  const key = apiKeyOf(request)?.name;
  const address = request.ip ?? '';
  return { name: key === undefined ? `address:${ipKeyGenerator(address)}` : `key:${key}`, address, key };
}
