import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

interface Variant {
  readonly disk: number;
  readonly room: number;
  readonly glibc: string;
}
const { VARIANTS, driverVersion, older } = jest.requireActual<{
  VARIANTS: Record<string, Variant>;
  driverVersion: (text: string) => number | undefined;
  older: (version: string, than: string) => boolean;
}>('../../native/engine/variants');

const ENGINES = join(__dirname, '../../native/.engine');

describe('The table of engines', () => {
  // The CPU's is always here; the others where somebody fetched them.
  const here = Object.keys(VARIANTS).filter((variant) => existsSync(join(ENGINES, variant, 'complete')));

  it('should be held against an engine at least', () => expect(here).toContain('cpu'));

  it.each(here)('should tell the glibc that the %s engine asks for, and its size', (variant) => {
    const folder = join(ENGINES, variant);
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((file) => join(folder, file))
      .filter((file) => statSync(file).isFile());
    const libraries = files.filter((file) => /\.so(\.|$)/.test(file));
    const { stdout } = spawnSync('readelf', ['-VW', ...libraries], { encoding: 'utf8', maxBuffer: 2 ** 28 });
    const versions = [...stdout.matchAll(/Name: GLIBC_(\d+\.\d+)/g)].map(([, version]) => version);
    const newest = versions.reduce((one, other) => (older(one, other) ? other : one));
    expect(newest).toBe(VARIANTS[variant].glibc);

    // The symbolic link is counted with what it leads to.
    const module = join(folder, 'inferna/sd/libstable-diffusion.so');
    const bytes = files.filter((file) => file !== module).reduce((sum, file) => sum + statSync(file).size, 0);
    expect(Math.round(bytes / 1e6)).toBe(VARIANTS[variant].disk);
  });

  it('should compare versions by number', () => {
    const pairs = [
      ['2.9', '2.17'],
      ['2.17', '2.17'],
      ['2.36', '2.4'],
      ['1.99', '2.0'],
    ];
    expect(pairs.map(([version, than]) => older(version, than))).toEqual([true, false, false, true]);
  });

  it("should read the version of NVIDIA's kernel module", () => {
    const closed =
      'NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n';
    const open =
      'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)\n' +
      'GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n';
    expect([driverVersion(closed), driverVersion(open), driverVersion('')]).toEqual([535, 580, undefined]);
  });
});
