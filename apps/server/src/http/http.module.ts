import { Global, Module } from '@nestjs/common';
import { Connections } from './connections';
import { HttpLimits } from './http.limits';
import { LargeBodies } from './large.bodies';
import { OpenRequests } from './open.requests';
import { Refusals } from './refusals';

/** For every module: what one client may cost, and who still waits for a reply. */
@Global()
@Module({
  providers: [
    { provide: HttpLimits, useValue: new HttpLimits() },
    Connections,
    LargeBodies,
    OpenRequests,
    Refusals,
  ],
  exports: [Connections, HttpLimits, LargeBodies, OpenRequests, Refusals],
})
export class HttpModule {}
