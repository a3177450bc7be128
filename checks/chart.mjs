/**
 * npm run check:chart [-- --server] — the chart with its own values and with those of each of its examples: lint, objects
 * against Kubernetes' schemas, alert rules against promtool.
 *
 * --server also installs, upgrades and rolls back each of them in the cluster that KUBECONFIG names, in namespaces of its
 * own that it deletes: an API server alone is enough. The custom resources' definitions have to be there.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binaries, validator } from './chart/tools.mjs';

const CHART = resolve(dirname(fileURLToPath(import.meta.url)), '../charts/sdxl-image-service');
/** Of their operators, which Kubernetes' own schemas do not know. */
const CUSTOM = /^apiVersion: (monitoring\.coreos\.com|keda\.sh|gateway\.networking\.k8s\.io)\//m;
const folder = mkdtempSync(join(tmpdir(), 'chart-'));
const tools = binaries();
/** Files with objects that Kubernetes itself knows, of all values. @type {string[]} */
const kubernetes = [];
let failures = 0;

/** @type {(what: string, file: string, args: string[], env?: NodeJS.ProcessEnv) => string} */
function check(what, file, args, env = process.env) {
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: 'utf8', env });
  if (status !== 0) {
    failures++;
    console.error(`FAILED ${what}\n${stdout}${stderr}${error?.message ?? ''}`);
  }
  return stdout;
}
/** @type {(what: string, ...args: string[]) => string} */
const helm = (what, ...args) => check(what, join(tools, 'helm'), args);
/** @type {(what: string, ...args: string[]) => string} */
const kubectl = (what, ...args) => check(what, join(tools, 'kubectl'), args);

/** @type {(name: string, values: string[]) => void} */
function checkValues(name, values) {
  helm(`${name}: lint`, 'lint', '--strict', CHART, ...values);
  const text = helm(`${name}: template`, 'template', 'release', CHART, '--namespace', 'images', ...values);
  const objects = text.split(/^---$/m).filter((object) => /^kind: /m.test(object));
  const files = objects.map((object, i) => {
    const file = join(folder, `${name}-${i}.yaml`);
    writeFileSync(file, object);
    return { file, object };
  });
  const own = files.filter(({ object }) => !CUSTOM.test(object));
  kubernetes.push(...own.map(({ file }) => file));
  for (const { object } of files.filter(({ object }) => object.includes('kind: PrometheusRule'))) {
    const [, spec] = object.split(/^spec:\n/m);
    const rules = join(folder, `${name}-rules.yaml`);
    writeFileSync(rules, spec.replaceAll(/^ {2}/gm, ''));
    check(`${name}: alert rules`, 'promtool', ['check', 'rules', rules]);
  }
  if (process.argv.includes('--server')) install(name, values);
  console.log(`${name}: ${objects.length} objects, ${own.length} of Kubernetes' own kinds`);
}

/** @type {(name: string, values: string[]) => void} */
function install(name, values) {
  const namespace = `check-chart-${name}`;
  const where = ['--namespace', namespace, ...values];
  kubectl(`${name}: namespace`, 'create', 'namespace', namespace);
  helm(`${name}: dry run`, 'install', 'release', CHART, ...where, '--dry-run=server');
  helm(`${name}: install`, 'install', 'release', CHART, ...where);
  helm(
    `${name}: upgrade`,
    'upgrade',
    'release',
    CHART,
    ...where,
    '--set',
    'drain.seconds=240,image.pullPolicy=Always',
  );
  helm(`${name}: rollback`, 'rollback', 'release', '1', '--namespace', namespace);
  helm(`${name}: uninstall`, 'uninstall', 'release', '--namespace', namespace);
  kubectl(`${name}: tidying`, 'delete', 'namespace', namespace, '--wait=false');
}

checkValues('default', []);
for (const file of readdirSync(join(CHART, 'examples')))
  checkValues(file.replace('.yaml', ''), ['--values', join(CHART, 'examples', file)]);
const { command, env } = validator();
const [python, ...validate] = command;
check('schemas', python, [...validate, '--strict', ...kubernetes], env);
rmSync(folder, { recursive: true });
process.exitCode = failures === 0 ? 0 : 1;
