import { Global, Module } from '@nestjs/common';
import { HttpLimits } from './http.limits';

/** For every module: what one client may cost. */
@Global()
@Module({ providers: [{ provide: HttpLimits, useValue: new HttpLimits() }], exports: [HttpLimits] })
export class HttpModule {}
