/**
 * npm run sbom [-- FILE] — what runs in production, as CycloneDX JSON, to FILE or to the standard output: the npm
 * packages as `npm sbom` finds them installed, less those for development, and the engine's wheels as native/engine/requirements-*.txt pin them.
 *
 * Debian's packages and Node are the image's: its scanners read them from there.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {{ license: { id?: string, name?: string } } | { expression: string }} License */
/** @typedef {{ name: string, version: string, sha256: string }} Pin */
/** @typedef {{ name: string, 'bom-ref': string, properties?: { name: string, value: string }[] }} Component */
/**
 * @typedef {{ metadata: { component: Component }, components: Component[],
 *   dependencies: { ref: string, dependsOn: string[] }[] }} Sbom
 */

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const ENGINE = join(ROOT, 'native/engine');
const PIN = /^(?<name>[a-z0-9-]+)==(?<version>\S+) --hash=sha256:(?<sha256>[0-9a-f]{64})$/;

const MIT = [{ license: { id: 'MIT' } }];
const MIT0 = [{ license: { id: 'MIT-0' } }];
const BSD2 = [{ license: { id: 'BSD-2-Clause' } }];
const BSD3 = [{ license: { id: 'BSD-3-Clause' } }];
const NVIDIA = [{ license: { name: 'NVIDIA CUDA Toolkit EULA' } }];
const LIBGOMP = [{ expression: 'GPL-3.0-or-later WITH GCC-exception-3.1' }];
const CCCL = [{ expression: 'Apache-2.0 WITH LLVM-exception AND BSD-3-Clause' }];

/**
 * What the engine's module has in every variant.
 *
 * @type {Record<string, License[]>}
 */
const MODULE = {
  'stable-diffusion.cpp': MIT,
  ggml: MIT,
  'nlohmann/json': MIT,
  stb: MIT,
  miniz: MIT,
  utf8proc: MIT,
  oniguruma: BSD2,
  'darts-clone': BSD2,
  nanobind: BSD3,
};

/**
 * What each wheel holds, as THIRD_PARTY_NOTICES.md tells it. A wheel that is not here stops the script.
 *
 * @type {Record<string, { licenses: License[], holds: Record<string, License[]> }>}
 */
const WHEELS = {
  inferna: { licenses: MIT, holds: { ...MODULE, libgomp: LIBGOMP } },
  'inferna-cuda12': { licenses: MIT, holds: { ...MODULE, 'llama.cpp': MIT, miniaudio: MIT0, CCCL } },
  'inferna-vulkan': { licenses: MIT, holds: { ...MODULE, 'llama.cpp': MIT, miniaudio: MIT0 } },
  'nvidia-cuda-runtime-cu12': { licenses: NVIDIA, holds: {} },
  'nvidia-cublas-cu12': { licenses: NVIDIA, holds: {} },
};

/** What sd_commit() of the pinned engine says. */
function engineCommit() {
  const header = readFileSync(join(ENGINE, 'stable-diffusion.h'), 'utf8');
  const commit = /^#define PINNED_ENGINE_COMMIT "([0-9a-f]{7,40})"$/m.exec(header)?.[1];
  if (!commit) throw new Error('native/engine/stable-diffusion.h must define PINNED_ENGINE_COMMIT');
  return commit;
}

/**
 * @param {string} file
 * @returns {unknown}
 */
const readJson = (file) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));

/**
 * All that is installed. npm exits with another code when that is not what the lock file says.
 *
 * @returns {Sbom}
 */
function npmSbom() {
  const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application'];
  const { status, stdout, stderr } = spawnSync('npm', args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`npm sbom failed: ${stderr || stdout}`);
  return JSON.parse(stdout);
}

/**
 * Leaves out what only builds and tests, as `npm ci --omit=dev` does. npm's own `sbom --omit=dev` leaves out too much:
 * whatever a development dependency needs as well, such as @nestjs/common, which @nestjs/testing names.
 *
 * @param {Sbom} sbom
 */
function omitDevelopment(sbom) {
  const { packages } =
    /** @type {{ packages: Record<string, { name?: string, version: string, dev?: boolean }> }} */ (
      readJson('package-lock.json')
    );
  const production = new Set([sbom.metadata.component['bom-ref']]);
  for (const [path, { name = path.split('node_modules/').pop(), version, dev }] of Object.entries(packages)) {
    if (path !== '' && !dev) production.add(`${name}@${version}`);
  }
  /** @param {string} ref */
  const kept = (ref) => production.has(ref);
  sbom.components = sbom.components
    .filter((component) => kept(component['bom-ref']))
    // npm marks one that lies in two places by the first of them.
    .map((component) => ({
      ...component,
      properties: component.properties?.filter(({ name }) => name !== 'cdx:npm:package:development'),
    }));
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => kept(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(kept) }));
}

/** @param {string} file */
function pins(file) {
  const lines = readFileSync(join(ENGINE, file), 'utf8').split('\n');
  return lines
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => {
      const pin = PIN.exec(line)?.groups;
      if (!pin)
        throw new Error(`${file} must pin one version and one sha256 a line, which "${line}" does not`);
      return /** @type {Pin} */ (/** @type {unknown} */ (pin));
    });
}

/**
 * @param {Pin} pin
 * @param {string} variant
 */
function component({ name, version, sha256 }, variant) {
  const wheel = WHEELS[name];
  if (!wheel) throw new Error(`tools/sbom.mjs must say what the wheel ${name} holds`);
  const ref = `pkg:pypi/${name}@${version}`;
  return {
    'bom-ref': ref,
    type: 'library',
    name,
    version,
    // Of the variants one is installed.
    scope: 'optional',
    purl: ref,
    hashes: [{ alg: 'SHA-256', content: sha256 }],
    licenses: wheel.licenses,
    properties: [{ name: 'engine:variant', value: variant }],
    components: Object.entries(wheel.holds).map(([part, licenses]) => ({
      'bom-ref': `${ref}#${part}`,
      type: 'library',
      name: part,
      licenses,
      ...(part === 'stable-diffusion.cpp' && {
        properties: [{ name: 'engine:commit', value: engineCommit() }],
      }),
    })),
  };
}

function engine() {
  const files = readdirSync(ENGINE).filter((name) => /^requirements-.*\.txt$/.test(name));
  return files.flatMap((file) => {
    const variant = file.replace(/^requirements-(.*)\.txt$/, '$1');
    return pins(file).map((pin) => component(pin, variant));
  });
}

function main() {
  const sbom = npmSbom();
  omitDevelopment(sbom);
  const wheels = engine();
  const service = sbom.metadata.component;
  // npm takes the name of the folder.
  service.name = /** @type {{ name: string }} */ (readJson('package.json')).name;
  sbom.components.push(...wheels);
  const root = sbom.dependencies.find(({ ref }) => ref === service['bom-ref']);
  root?.dependsOn.push(...wheels.map((wheel) => wheel['bom-ref']));
  sbom.dependencies.push(
    ...wheels.map((wheel) => ({
      ref: wheel['bom-ref'],
      dependsOn: wheel.components.map((part) => part['bom-ref']),
    })),
  );
  const text = `${JSON.stringify(sbom, null, 2)}\n`;
  const file = process.argv[2];
  // Where the user typed it: npm runs scripts in the project's folder.
  if (file) writeFileSync(resolve(process.env.INIT_CWD ?? '.', file), text);
  else process.stdout.write(text);
}

try {
  main();
} catch (error) {
  console.error(`sbom: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 1;
}
