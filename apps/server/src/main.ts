import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { ConfigError, ConfigModule, hasKeys, isDemo, nearNames } from '@app/config';
import { PipelineService } from '@app/pipeline';
import { createApp } from './app';
import { demoHint } from './demo.hint';
import { endOnSignals } from './signals';

const logger = new Logger('Main');

async function main(): Promise<void> {
  const config = await ConfigModule.read();
  const app = await createApp(config);
  for (const warning of nearNames(process.env)) logger.warn(warning);
  const server: Server = app.getHttpServer();
  endOnSignals(app);
  try {
    // The model loads meanwhile: /health/ready reports how far it is.
    await app.listen(config.PORT, config.HOST);
  } catch (error) {
    await app.close();
    throw error;
  }
  const { address, port, family } = server.address() as AddressInfo;
  const host = family === 'IPv6' ? `[${address}]` : address;
  logger.log(`Listening on http://${host}:${port}`);
  if (isDemo(config) && config.ROLE === 'all') {
    await app.get(PipelineService).whenReady();
    logger.log(
      demoHint(`http://${isAnyOrLocal(address) ? 'localhost' : host}:${port}`, {
        keys: hasKeys(config),
        forPerson: process.stdout.isTTY,
      }),
    );
  }
}

/** Whether `localhost` leads to an address that was listened on. */
const isAnyOrLocal = (address: string) => /^(?:0\.0\.0\.0|127\.0\.0\.1|::1?)$/.test(address);

/** What the operator can fix is a sentence; anything else is a defect and keeps its stack. */
function explain(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  const { code, address, port } = error as { code?: string; address?: string; port?: number };
  if (code === 'EADDRINUSE')
    return `Another program listens on ${address}:${port}; set PORT to another number`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'HOST must be an address of this machine';
  if (code === 'EAFNOSUPPORT')
    return 'This machine has no IPv6: set HOST to an address of IPv4, such as 0.0.0.0';
  if (code === 'EACCES' && port)
    return `This user may not listen on port ${port}; set PORT to 1024 or higher`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
});
