import type { Server } from 'node:http';
import { Logger } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Drain } from '@app/lifecycle';

const SIGNALS = ['SIGINT', 'SIGTERM'];

/** milliseconds */
const MS = {
  /** A Ctrl-C comes twice under npm: from the terminal, and passed on. */
  echo: 500,
  /** For replies to end after the drain. Node also waits for connections that ask nothing yet. */
  replies: 5_000,
  /** From the second signal until the process ends, come what may. Records and queue are fit for a `kill -9`. */
  hurry: 3_000,
};

/** The first SIGTERM or SIGINT lets running pictures finish (see Drain), the second does not. */
export function endOnSignals(app: NestExpressApplication): void {
  const server: Server = app.getHttpServer();
  const drain = app.get(Drain);
  let first = 0;
  const onSignal = () => {
    if (drain.draining.aborted) {
      if (performance.now() - first < MS.echo) return;
      drain.expire();
      setTimeout(() => process.exit(0), MS.hurry).unref();
    } else {
      first = performance.now();
      process.once('exit', () => new Logger('Main').log('Stopped'));
      drain.begin();
    }
  };
  // Before Nest's own, which go through the modules one after the other.
  for (const signal of SIGNALS) process.on(signal, onSignal);
  app.enableShutdownHooks(SIGNALS, { useProcessExit: true });
  drain.expired.addEventListener('abort', () => {
    setTimeout(() => server.closeAllConnections(), MS.replies).unref();
  });
}
