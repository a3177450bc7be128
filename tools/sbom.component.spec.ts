import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Component {
  readonly 'bom-ref': string;
  readonly type: string;
  readonly name: string;
  readonly version?: string;
  readonly purl?: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly licenses?: readonly object[];
  readonly components?: readonly Component[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

interface Sbom {
  readonly bomFormat: string;
  readonly specVersion: string;
  readonly serialNumber: string;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

interface Locked {
  readonly version: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

const ROOT = join(__dirname, '..');
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const { name, dependencies, devDependencies } = JSON.parse(read('package.json')) as {
  name: string;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
/** Hexadecimal digits. */
const DIGEST = { 'SHA-256': 64, 'SHA-512': 128 } as Record<string, number>;

describe('npm run sbom', () => {
  const script = (...args: string[]) =>
    spawnSync(process.execPath, [join(ROOT, 'tools/sbom.mjs'), ...args], { encoding: 'utf8' });
  let sbom: Sbom;
  let all: readonly Component[];

  beforeAll(() => {
    const { status, stdout, stderr } = script();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    sbom = JSON.parse(stdout) as Sbom;
    all = sbom.components.flatMap((component) => [component, ...(component.components ?? [])]);
  });

  it('should be a CycloneDX document of this service', () => {
    expect(sbom).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.5' });
    expect(sbom.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(sbom.metadata.component).toMatchObject({ type: 'application', name });
  });

  it('should give every component a reference of its own and a name, every package a version, address and digest', () => {
    const refs = all.map((component) => component['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    for (const component of sbom.components) {
      expect(component).toMatchObject({ type: 'library', version: expect.stringMatching(/^\d/) as string });
      expect(component.purl).toMatch(/^pkg:(npm|pypi)\/.+@\d/);
      expect(component.hashes).toHaveLength(1);
      for (const { alg, content } of component.hashes!) {
        expect([alg, content]).toEqual([alg, expect.stringMatching(`^[0-9a-f]{${DIGEST[alg]}}$`)]);
      }
    }
  });

  it('should say what depends on what, with nothing unknown and nothing left out', () => {
    const refs = [sbom.metadata.component, ...all].map((component) => component['bom-ref']).sort();
    const named = sbom.dependencies.flatMap(({ ref, dependsOn }) => [ref, ...dependsOn]);
    expect([...new Set(named)].sort()).toEqual(refs);
  });

  it('should hold what runs in production, and nothing that only builds or tests', () => {
    const refs = sbom.components.map((component) => component['bom-ref']);
    const named = (versions: Record<string, string>) =>
      Object.entries(versions).map(([dependency, version]) => `${dependency}@${version}`);
    expect(refs).toEqual(expect.arrayContaining(named(dependencies)));
    expect(named(devDependencies).filter((ref) => refs.includes(ref))).toEqual([]);
  });

  it('should hold every package that the lock file does not mark as for development or optional', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };
    const locked = (of: (entry: Locked) => boolean | undefined) =>
      Object.entries(packages)
        .filter(([path, entry]) => path !== '' && of(entry))
        .map(([path, { version }]) => `${path.split('node_modules/').pop()}@${version}`);
    const refs = new Set(sbom.components.map((component) => component['bom-ref']));
    const needed = locked(({ dev, optional, devOptional }) => !dev && !optional && !devOptional);
    expect(needed.length).toBeGreaterThan(Object.keys(dependencies).length);
    expect(needed.filter((ref) => !refs.has(ref))).toEqual([]);
    const production = new Set(locked(({ dev }) => !dev));
    const npm = [...refs].filter((ref) => !ref.startsWith('pkg:pypi/'));
    expect(npm.filter((ref) => !production.has(ref))).toEqual([]);
  });

  it('should hold every wheel of the engine as it is pinned, and what lies in it', () => {
    const files = readdirSync(join(ROOT, 'native/engine')).filter((file) => file.endsWith('.txt'));
    const pinned = files.flatMap((file) =>
      [...read(`native/engine/${file}`).matchAll(/^(\S+)==(\S+) --hash=sha256:(\S+)$/gm)].map(
        ([, wheel, version, content]) => ({ name: wheel, version, hashes: [{ alg: 'SHA-256', content }] }),
      ),
    );
    expect(pinned.map((pin) => pin.name).sort()).toEqual([
      'inferna',
      'inferna-cuda12',
      'inferna-vulkan',
      'nvidia-cublas-cu12',
      'nvidia-cuda-runtime-cu12',
    ]);
    const notices = read('THIRD_PARTY_NOTICES.md');
    for (const pin of pinned) {
      const wheel = sbom.components.find((component) => component.name === pin.name)!;
      expect(wheel).toMatchObject(pin);
      for (const part of [wheel, ...wheel.components!]) {
        expect(part.licenses).toHaveLength(1);
        expect(notices).toContain(part.name);
      }
    }
    const commit = /PINNED_ENGINE_COMMIT "(.*)"/.exec(read('native/engine/stable-diffusion.h'))?.[1];
    const engines = all.filter((component) => component.name === 'stable-diffusion.cpp');
    const commits = engines.map(({ properties }) => properties);
    expect(commits).toEqual(Array(3).fill([{ name: 'engine:commit', value: commit }]));
  });

  it('should be written to a file where one is named', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sbom-'));
    try {
      const { status, stdout } = script(join(folder, 'sbom.json'));
      expect([status, stdout]).toEqual([0, '']);
      const written = JSON.parse(readFileSync(join(folder, 'sbom.json'), 'utf8')) as Sbom;
      expect(written.components).toEqual(sbom.components);
      expect(script(join(folder, 'none/sbom.json'))).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/^sbom: ENOENT/) as string,
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
