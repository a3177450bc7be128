import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import { loadConfig } from '@app/config';
import { packageRoot } from '@app/models';
import { AppModule } from './app.module';
import { describeApi } from './docs/openapi';

export const CONTRACT_FILE = join(packageRoot(), 'openapi.json');

/** The text of openapi.json: the API document of a service with keys. Nothing is started for it, and no engine. */
export async function contractText(): Promise<string> {
  const nobody = [{ name: 'contract', sha256: '0'.repeat(64), scopes: ['read'] }];
  const config = loadConfig({
    MODEL_PATH: 'demo',
    API_KEYS: JSON.stringify(nobody),
    // Whoever reads a file knows no address that it came from.
    SERVICE_URL: 'http://localhost:8000',
  });
  const app = await NestFactory.create(AppModule.forRoot(config), {
    preview: true, // reads modules and controllers, makes no provider
    logger: ['error'],
    abortOnError: false,
  });
  return `${JSON.stringify(describeApi(app), typeFirst, 2)}\n`;
}

/** Swagger puts the type of a schema where it was made: first in one document, last in the next. */
function typeFirst(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('type' in value)) return value;
  const { type, ...others } = value;
  return { type, ...others };
}
