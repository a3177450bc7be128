import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiExtension, ApiSecurity } from '@nestjs/swagger';
import type { Scope } from './api.key';

/*
 * What a route asks of its caller where there are keys. Every route says it, or its class does; one that does not is
 * closed (scope.guard.ts), and a spec finds it.
 */

export const REQUIRED_SCOPE = 'required-scope';
export type RequiredScope = Scope | 'nothing' | 'its own check';

/** The name of the security scheme in the API document. */
export const KEY_SCHEME = 'key';

/** A key with this scope; a key of one user also that :user_id, where the path has it, is that user. */
export const RequireScope = (scope: Scope) =>
  applyDecorators(
    SetMetadata<string, RequiredScope>(REQUIRED_SCOPE, scope),
    ApiSecurity(KEY_SCHEME),
    ApiExtension('x-scope', scope),
  );

export const SIGNABLE = 'signable';

/**
 * Beside RequireScope: a request with a signature in its query comes in without that. The route has to judge it, and ask
 * for the scope where it is not good (Links.admit).
 */
export const OrSigned = () => SetMetadata(SIGNABLE, true);

/** Open to all. A path that is not in OPEN (admission.ts) is not reached without a key all the same. */
export const Public = () => SetMetadata<string, RequiredScope>(REQUIRED_SCOPE, 'nothing');

/** The route looks at the key itself: there is another way in. */
export const SelfChecked = () =>
  applyDecorators(
    SetMetadata<string, RequiredScope>(REQUIRED_SCOPE, 'its own check'),
    ApiSecurity({}),
    ApiSecurity(KEY_SCHEME),
  );
