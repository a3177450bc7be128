import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unpackDemo, type DemoFiles } from '../../libs/models/demo';

/** Where tests and `npm run demo` share the unpacked demo checkpoint: the default of DEMO_CACHE. */
export const DEMO_CACHE = join(__dirname, '../../data/demo');

export const demoModel = (): Promise<DemoFiles> => unpackDemo(DEMO_CACHE, () => {});

/** The demo's LoRA, small and committed. */
export const NIGHT_LORA = join(__dirname, '../../libs/models/demo/loras/night.safetensors');

/** A folder for one suite, removed when the suite ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
