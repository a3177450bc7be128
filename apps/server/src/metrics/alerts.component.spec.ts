import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApi } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { describeWith } from '../../../../test/support/requires';

const ROOT = join(__dirname, '../../../..');
const FOLDER = join(ROOT, 'deploy/prometheus');
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

const RULES = read('deploy/prometheus/alerts.yaml');
const ALERTS = [...RULES.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name]) => name);
const { panels } = JSON.parse(read('deploy/grafana/dashboard.json')) as {
  panels: { targets?: { expr: string }[] }[];
};
const QUERIES = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

const promtool = (parameters: string[], input?: string) =>
  spawnSync('promtool', parameters, { cwd: FOLDER, encoding: 'utf8', input });
const PROMTOOL = {
  name: 'promtool',
  install: 'apt-get install prometheus',
  available: () => promtool(['--version']).status === 0,
};
/** What the service answers. */
async function metrics(): Promise<string> {
  const api = await startApi();
  const { text } = await http(api.url).get('/metrics');
  await api.close();
  return text;
}

describe('deploy', () => {
  it('should ask only for metrics that the service has', async () => {
    const text = await metrics();
    const known = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name, type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    );
    expect(QUERIES.length).toBeGreaterThan(20);
    for (const query of [RULES, ...QUERIES]) {
      for (const [name] of query.matchAll(/\b(?:image|http|process|nodejs)_\w+(?=[{[)]| <| >)/g)) {
        expect(known).toContain(name);
      }
    }
  });

  it('should have a runbook entry of the name of each alert, and a link to it', () => {
    const runbook = read('docs/operations.md').split('## Runbook\n')[1];
    expect([...runbook.matchAll(/^### (\w+)$/gm)].map(([, name]) => name)).toEqual(ALERTS);
    expect([...RULES.matchAll(/operations\.md#(\w+)$/gm)].map(([, anchor]) => anchor)).toEqual(
      ALERTS.map((name) => name.toLowerCase()),
    );
  });
});

describeWith(PROMTOOL, 'deploy, as Prometheus reads it', () => {
  const passes = (...parameters: string[]) => {
    const { status, stdout, stderr } = promtool(parameters);
    expect({ status, output: stdout + stderr }).toEqual({
      status: 0,
      output: expect.stringContaining('SUCCESS'),
    });
  };

  it('should fire each alert where it should, and none of a healthy service', () => {
    passes('check', 'rules', 'alerts.yaml');
    passes('test', 'rules', 'alerts.test.yaml');
    const fired = new Set(
      [...read('deploy/prometheus/alerts.test.yaml').matchAll(/alertname: (\w+)\n +exp_alerts/g)].map(
        ([, name]) => name,
      ),
    );
    expect([...fired].sort()).toEqual([...ALERTS].sort());
  });

  it('should read metrics that Prometheus has no complaints about', async () => {
    const { error, stdout, stderr } = promtool(['check', 'metrics'], await metrics());
    expect(error).toBeUndefined();
    // prom-client's own, which others look for under these names.
    const complaints = (stdout + stderr).split('\n').filter((line) => !line.startsWith('nodejs_active_'));
    expect(complaints).toEqual(['']);
  });

  it('should be queries that Prometheus understands', () => {
    const folder = mkdtempSync(join(tmpdir(), 'queries-'));
    const rules = QUERIES.map((expr, i) => ({
      record: `query:${i}`,
      // As Grafana fills it in.
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    const file = join(folder, 'queries.json');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    passes('check', 'rules', '--lint=none', file);
    rmSync(folder, { recursive: true });
  });
});
