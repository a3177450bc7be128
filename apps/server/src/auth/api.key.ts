import type { IncomingMessage } from 'node:http';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ServiceError } from '@app/errors';
import { describeValue } from '../validation/describe.value';

/**
 * What a key may do. `draw`: ask for pictures, cancel jobs and remove what came of them; `read`: see jobs, pictures,
 * avatars, photos and what can be asked for; `users`: store and remove avatars and photos, remove users.
 */
export const SCOPES = ['draw', 'read', 'users'] as const;
export type Scope = (typeof SCOPES)[number];

/** The key that a request came with. */
export interface ApiKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The key is bound to this user: for it, everybody else's pictures and jobs do not exist. */
  readonly userId?: string;
  /** Aborts when the key is taken from the list, or changed in it. */
  readonly revoked: AbortSignal;
}

const accesses = new WeakMap<IncomingMessage, ApiKey>();

export const grant = (request: IncomingMessage, access: ApiKey): void => void accesses.set(request, access);

/** undefined: anonymous; where there are keys, only routes that are open to all see such a request. */
export const apiKeyOf = (request: IncomingMessage): ApiKey | undefined => accesses.get(request);

/** apiKeyOf, as a parameter of a controller's method. */
export const CallerKey = createParamDecorator((_: unknown, context: ExecutionContext) =>
  apiKeyOf(context.switchToHttp().getRequest<IncomingMessage>()),
);

/** For where there are keys. Throws `unauthorized`, `forbidden`. */
export function assertScope(access: ApiKey | undefined, scope: Scope): asserts access is ApiKey {
  if (!access) throw unauthorized('none');
  if (access.scopes.includes(scope)) return;
  const sentence = `Expected a key with the scope ${scope} but key ${access.name} has ${access.scopes.join(', ')}`;
  throw new ServiceError('forbidden', sentence);
}

/** A key of one user learns nothing of others, not even whether they exist. */
export function assertOwn(access: ApiKey | undefined, userId: string | undefined, param: string): void {
  if (access?.userId === undefined || userId === undefined || userId === access.userId) return;
  throw new ServiceError('not_found', `There is no user ${describeValue(userId)}`, param);
}

/** What an unauthorised request came with, in words. */
export const presented = ({ headers }: IncomingMessage): string =>
  headers.authorization === undefined ? 'none' : 'one that is not known';

export const unauthorized = (received: string) =>
  new ServiceError('unauthorized', `Expected a key as "Authorization: Bearer KEY" but received ${received}`);
