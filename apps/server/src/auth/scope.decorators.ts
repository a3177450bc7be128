import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth, ApiExtension } from '@nestjs/swagger';
import type { Scope } from './api.key';

/*
 * What a route asks of its caller where there are keys. Every route says it, or its class does; one that does not is
 * closed (scope.guard.ts), and a spec finds it.
 */

export const NEEDED = 'access:needed';
export type Needed = Scope | 'nothing' | 'its own check';

/** The name of the security scheme in the API document. */
export const KEY_SCHEME = 'key';

/** A key with this scope; a key of one user also that :user_id, where the path has it, is that user. */
export const Needs = (scope: Scope) =>
  applyDecorators(
    SetMetadata<string, Needed>(NEEDED, scope),
    ApiBearerAuth(KEY_SCHEME),
    ApiExtension('x-scope', scope),
  );

/** Open to all. A path that is not in OPEN (admission.ts) is not reached without a key all the same. */
export const NeedsNothing = () => SetMetadata<string, Needed>(NEEDED, 'nothing');

/** The route looks at the key itself: there is another way in. */
export const ChecksItself = () =>
  applyDecorators(SetMetadata<string, Needed>(NEEDED, 'its own check'), ApiBearerAuth(KEY_SCHEME));
