import { Global, Module } from '@nestjs/common';
import { HttpLimits } from './http.limits';
import { LargeBodies } from './large.bodies';
import { OpenRequests } from './open.requests';

/** For every module: what one client may cost, and who still waits for a reply. */
@Global()
@Module({
  providers: [{ provide: HttpLimits, useValue: new HttpLimits() }, LargeBodies, OpenRequests],
  exports: [HttpLimits, LargeBodies, OpenRequests],
})
export class HttpModule {}
