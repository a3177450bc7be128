import type { Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Logger } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Drain } from '@app/lifecycle';

const SIGNALS = ['SIGINT', 'SIGTERM'];

/** milliseconds */
const MS = {
  /** Between looks at who is still connected. */
  look: 100,
  /** A Ctrl-C comes twice under npm: from the terminal, and passed on. */
  echo: 500,
  /** For replies to end after the drain. Node also waits for connections that ask nothing yet. */
  replies: 5_000,
  /** From the second signal until the process ends, come what may. Records and queue are fit for a `kill -9`. */
  hurry: 3_000,
};

/** Clients keep connections, and one that is closed here may have a request on its way: each goes with its next reply. */
async function untilLeft(server: Server): Promise<void> {
  const connections = promisify(server.getConnections.bind(server));
  while ((await connections()) > 0) await sleep(MS.look, undefined, { ref: false });
}

/**
 * The first SIGTERM or SIGINT lets running pictures finish (see Drain), the second does not. SIGTERM comes from whatever
 * replaces this process, and may not have told everybody; SIGINT from a person, who waits.
 */
export function endOnSignals(app: NestExpressApplication): void {
  const server: Server = app.getHttpServer();
  const drain = app.get(Drain);
  const logger = new Logger('Main');
  let first = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    if (drain.draining.aborted) {
      if (performance.now() - first < MS.echo) return;
      drain.hurry();
      setTimeout(() => process.exit(0), MS.hurry).unref();
      return;
    }
    first = performance.now();
    process.once('exit', () => logger.log('Stopped'));
    const { delaySeconds: seconds } = drain;
    if (signal === 'SIGINT' || seconds === 0) return drain.begin();
    logger.log(`Not ready any more; the port stays open for ${seconds} s (SHUTDOWN_DELAY)`);
    drain.beginDelayed(() => untilLeft(server));
  };
  // Before Nest's own, which go through the modules one after the other.
  for (const signal of SIGNALS) process.on(signal, onSignal);
  app.enableShutdownHooks(SIGNALS, { useProcessExit: true });
  drain.expired.addEventListener('abort', () => {
    void drain.delayed().then(() => setTimeout(() => server.closeAllConnections(), MS.replies).unref());
  });
}
