import { basename } from 'node:path';
import type { Config } from '@app/config';

/** What users know the model by before it is found: a path's last part, for the rest of it stays inside. */
export function wantedModel({ MODEL_FILE, MODEL_PATH }: Pick<Config, 'MODEL_FILE' | 'MODEL_PATH'>): string {
  if (MODEL_FILE) return basename(MODEL_FILE);
  return /^[./~]/.test(MODEL_PATH) ? basename(MODEL_PATH) : MODEL_PATH;
}
