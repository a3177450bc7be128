import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request } from 'express';
import { Config, hasKeys } from '@app/config';
import { apiKeyOf, assertOwn, assertScope } from './api.key';
import { REQUIRED_SCOPE, SIGNABLE, type RequiredScope } from './scope.decorators';

/** Lets a request into its route when its key may do what the route needs. */
@Injectable()
export class ScopeGuard implements CanActivate {
  constructor(
    private readonly config: Config,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    if (!hasKeys(this.config)) return true;
    const route = [context.getHandler(), context.getClass()] as const;
    const needed = this.reflector.getAllAndOverride<RequiredScope | undefined>(REQUIRED_SCOPE, [...route]);
    if (needed === 'nothing' || needed === 'its own check') return true;
    if (!needed) throw new Error(`${route[1].name}.${route[0].name} does not say what it needs`);
    const request = context.switchToHttp().getRequest<Request<{ user_id?: string }>>();
    if (this.reflector.getAllAndOverride(SIGNABLE, [...route]) && 'signature' in request.query) return true;
    const access = apiKeyOf(request);
    assertScope(access, needed);
    assertOwn(access, request.params.user_id, 'user_id');
    return true;
  }
}
