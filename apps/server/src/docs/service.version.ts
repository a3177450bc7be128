import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '@app/models';

export interface About {
  readonly name: string;
  readonly version: string;
  readonly description: string;
}

/** What package.json says. An import would copy it into dist, where it would shadow the real one. */
export function aboutService(): About {
  const { name, version, description } = JSON.parse(
    readFileSync(join(packageRoot(), 'package.json'), 'utf8'),
  ) as About;
  return { name, version, description };
}
