import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';

const ROOT = join(__dirname, '..');
const CHART = join(ROOT, 'charts/sdxl-image-service');
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const node = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  return { status, output: stdout + stderr };
};
const SHARED = ['mode=distributed', 'secrets.existingSecret=s', 'config.S3_BUCKET_NAME=b'];
const EVERYWHERE = 'models.claim.accessModes={ReadWriteMany}';

/** What tests read of objects. */
type Labels = Record<string, string>;
interface Selector {
  readonly matchLabels: Labels;
  readonly matchExpressions?: object[];
}
interface Container {
  readonly command: string[];
  readonly env: object[];
  readonly ports: object[];
  readonly volumeMounts: object[];
}
interface Parsed {
  readonly metadata: { readonly name: string; readonly labels: Labels };
  readonly spec: {
    readonly containers: [Container];
    readonly egress: object[];
    readonly fallback?: object;
    readonly ingress: { readonly from?: { readonly podSelector: Selector }[] }[];
    readonly podMetricsEndpoints: [
      { readonly port: string; readonly relabelings: [{ readonly replacement: string }] },
    ];
    readonly selector: Selector;
    readonly template: Pick<Parsed, 'metadata'> & {
      readonly spec: { readonly containers: [Container]; readonly volumes: object[] };
    };
    readonly triggers: { readonly metadata: object }[];
  };
}

describe('The Helm chart', () => {
  let helm: string;
  beforeAll(() => {
    // Brings Helm, too: 40 MB on the first run.
    const whole = node('checks/chart.mjs');
    expect(whole).toEqual({ status: 0, output: expect.stringContaining('workers: 19 objects') as string });
    const path = node(
      '-e',
      "import('./checks/chart/tools.mjs').then(({ binaries }) => console.log(binaries()))",
    );
    helm = join(path.output.trim(), 'helm');
  }, 300_000);

  const template = (...values: string[]) => {
    const set = values.flatMap((value) => ['--set', value]);
    const { status, stdout, stderr } = spawnSync(helm, ['template', 'x', CHART, ...set], {
      encoding: 'utf8',
    });
    return status === 0 ? stdout : stderr;
  };
  const object = (text: string, kind: string, name = '') =>
    text.split(/^---$/m).find((one) => one.includes(`kind: ${kind}\n`) && one.includes(`name: x-${name}`)) ??
    '';
  /** `name`: what follows the chart's own. */
  const parsed = (kind: string, name: string, ...values: string[]) =>
    parse(object(template(...values), kind, `sdxl-image-service${name}`)) as Parsed;

  it('should have the version of the service, as the image has', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    expect(read('Dockerfile')).toContain(`ARG VERSION=${version}\n`);
    expect(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')).toContain(
      `version: ${version}\nappVersion: ${version}\n`,
    );
  });

  it('should be documented as it is', () =>
    // When this fails: npm run docs:chart
    expect(node('tools/chart.docs.mjs', '--check')).toEqual({ status: 0, output: '' }));

  it.each([
    ['a value that it does not have', ['typo=1'], "'typo' not allowed"],
    ['two processes over one file of jobs', ['api.replicas=2'], "'/api/replicas'"],
    ['a scaler for the one process', ['worker.autoscaling.type=keda'], "'/worker/autoscaling/type'"],
    ['shared work without a bucket', ['mode=distributed'], "'S3_BUCKET_NAME'"],
    ['a drain beside the pod’s own grace', ['config.DRAIN_SECONDS=500'], 'by drain.seconds'],
    ['a secret in a ConfigMap', ['config.HF_TOKEN=x'], 'secrets.existingSecret'],
    ['an open door', ['ingress.enabled=true'], 'auth.existingSecret must name'],
    ['a door to the nodes', ['service.type=NodePort'], 'auth.existingSecret must name'],
    ['a door to the internet', ['service.type=LoadBalancer'], 'auth.existingSecret must name'],
    ['an address that its values choose', ['config.HOST=1.2.3.4'], 'by listen'],
    [
      'two slices, of which a process sees one',
      ['worker.gpu.resource=nvidia.com/mig-1g\\.10gb', 'worker.gpu.count=2'],
      'worker.gpu.count must be 1',
    ],
    [
      'two slices that are claimed',
      ['worker.gpu.deviceClass=mig.nvidia.com', 'worker.gpu.count=2'],
      'worker.gpu.count must be 1',
    ],
    ['no keys where nobody may call', ['auth.anonymous=never'], 'auth.existingSecret must name'],
    ['models from no image', ['models.volume=image'], "'/models/image/reference'"],
    ['one node’s disk for workers of many', [...SHARED, 'worker.replicas=2'], 'ReadWriteMany'],
    [
      'a Prometheus scaler that asks nobody',
      [...SHARED, 'worker.autoscaling.type=keda'],
      "'/worker/autoscaling/prometheus/address'",
    ],
    [
      'LoRAs for every request where nobody may be there who has them',
      [
        ...[...SHARED, 'models.volume=none', 'config.MEMORY_LORAS=a', 'worker.autoscaling.type=keda'],
        ...['worker.autoscaling.minReplicas=0', 'worker.autoscaling.prometheus.address=http://p'],
      ],
      'worker.autoscaling.minReplicas must be at least 1',
    ],
    [
      'a download into one node’s disk',
      [...SHARED, 'models.pull.enabled=true'],
      'ReadWriteMany for models.pull',
    ],
    [
      'a download for no worker',
      [...SHARED, 'models.pull.enabled=true', EVERYWHERE, 'worker.enabled=false'],
      'models.pull must not be enabled without worker.enabled',
    ],
    [
      'a Redis scaler without its address',
      [...SHARED, 'worker.autoscaling.type=keda', 'worker.autoscaling.trigger=redis'],
      "'/worker/autoscaling/redis/address'",
    ],
  ])('should refuse %s', (_what, values, sentence) => {
    expect(template(...values)).toContain(sentence);
    expect(template(...values)).toContain('Error: ');
  });

  it.each([
    [25, 5, 35],
    [300, 5, 310],
    [0, 60, 70],
  ])('should leave time for a drain of %i s and a delay of %i s', (seconds, delay, grace) => {
    const text = template(...SHARED, `drain.seconds=${seconds}`, `drain.shutdownDelay=${delay}`);
    for (const role of ['api', 'worker'])
      expect(object(text, 'Deployment', `sdxl-image-service-${role}`)).toContain(
        `terminationGracePeriodSeconds: ${grace}\n`,
      );
    expect(text).toContain(`{ name: DRAIN_SECONDS, value: "${seconds}" }`);
  });

  it('should end the one process before the next begins, and replace those that share one by one', () => {
    expect(object(template(), 'Deployment')).toContain('replicas: 1\n  strategy: { type: Recreate }');
    expect(object(template(...SHARED), 'Deployment', 'sdxl-image-service-api')).toContain(
      'maxUnavailable: 0',
    );
  });

  it('should ask for GPUs in each of the three ways', () => {
    const pod = (...values: string[]) => object(template(...values), 'Deployment');
    expect(pod()).toContain('nvidia.com/gpu: 1');
    expect(pod('worker.gpu.resource=nvidia.com/mig-1g\\.10gb')).toContain('nvidia.com/mig-1g.10gb: 1');
    expect(pod('worker.gpu.count=2')).toContain('{ name: ENGINE_DEVICES, value: "0,1" }');
    const claimed = template('worker.gpu.deviceClass=gpu.nvidia.com');
    expect(object(claimed, 'Deployment')).toContain('resourceClaimTemplateName: x-sdxl-image-service-gpu');
    expect(object(claimed, 'Deployment')).not.toContain('nvidia.com/gpu: 1');
    expect(object(claimed, 'ResourceClaimTemplate')).toContain('deviceClassName: gpu.nvidia.com');
    const theirs = template('worker.gpu.deviceClass=gpu.nvidia.com', 'worker.gpu.claimTemplate=theirs');
    expect(object(theirs, 'Deployment')).toContain('resourceClaimTemplateName: theirs\n');
    expect(theirs).not.toContain('kind: ResourceClaimTemplate');
    expect(pod('worker.gpu.count=0')).toContain('{ name: REQUIRE_GPU, value: "false" }');
  });

  it('should scale workers down to none by the sizes of the sets that Redis keeps', () => {
    const scaled = ['type=keda', 'trigger=redis', 'minReplicas=0', 'redis.address=redis:6379'];
    const text = template(
      ...SHARED,
      'models.volume=none',
      ...scaled.map((value) => `worker.autoscaling.${value}`),
    );
    expect(object(text, 'ScaledObject')).toContain('minReplicaCount: 0');
    for (const state of ['queued', 'running'])
      expect(object(text, 'ScaledObject')).toContain(`listName: '{sdxl}:state:${state}'`);
    // With a number of its own, each upgrade would undo what the scaler did.
    expect(object(text, 'Deployment', 'sdxl-image-service-worker')).not.toContain('replicas:');
  });

  describe('with a job that downloads the models', () => {
    const PULL = [...SHARED, 'models.pull.enabled=true', EVERYWHERE];
    const job = (...values: string[]) => parsed('Job', '-models', ...PULL, ...values);

    it('should download what the models file names, on nodes as workers have', () => {
      const where = ['worker.nodeSelector.pool=gpus', 'worker.tolerations[0].key=gpus'];
      const { spec } = job('modelsFile=a', ...where).spec.template;
      const [{ env, volumeMounts }] = spec.containers;
      expect(env).toContainEqual({ name: 'MODELS_FILE', value: '/etc/image-models/models.yaml' });
      expect(volumeMounts).toContainEqual(expect.objectContaining({ mountPath: '/etc/image-models' }));
      expect(spec.volumes).toContainEqual(expect.objectContaining({ name: 'models-file' }));
      expect(spec).toMatchObject({ nodeSelector: { pool: 'gpus' }, tolerations: [{ key: 'gpus' }] });
    });

    it('should have the files and variables of the operator, as all pods have', () => {
      const files = [
        ...['extraVolumes[0].name=ca', 'extraVolumes[0].secret.secretName=ca'],
        ...['extraVolumeMounts[0].name=ca', 'extraVolumeMounts[0].mountPath=/etc/ca'],
        ...['worker.extraEnv[0].name=HF_HUB_DOWNLOAD_TIMEOUT', 'worker.extraEnv[0].value=a'],
      ];
      const objects = [
        ['Job', '-models'] as const,
        ...['-api', '-worker'].map((of) => ['Deployment', of] as const),
      ];
      for (const [kind, name] of objects) {
        const { spec } = parsed(kind, name, ...PULL, ...files).spec.template;
        expect(spec.volumes).toContainEqual({ name: 'ca', secret: { secretName: 'ca' } });
        expect(spec.containers[0].volumeMounts).toContainEqual({ name: 'ca', mountPath: '/etc/ca' });
      }
      expect(job(...files).spec.template.spec.containers[0].env).toContainEqual({
        name: 'HF_HUB_DOWNLOAD_TIMEOUT',
        value: 'a',
      });
    });

    it('should be another job whenever its pod is another, which Kubernetes does not change', () => {
      const first = job();
      expect(job('drain.seconds=7')).toEqual(first);
      const names = [
        'config.MODEL_PATH=a/b',
        'modelsFile=a',
        'image.tag=b',
        'image.pullPolicy=Always',
        'image.pullSecrets={a}',
        'secrets.existingSecret=t',
        'serviceAccount.name=a',
        'podSecurityContext.runAsUser=7',
        'securityContext.runAsUser=7',
        'models.pull.resources.limits.memory=3Gi',
        'worker.nodeSelector.pool=gpus',
      ].map((value) => job(value).metadata.name);
      expect(new Set([...names, first.metadata.name]).size).toBe(names.length + 1);
    });

    it('should have a name that Kubernetes takes, however long the release’s is', () =>
      expect(job(`fullnameOverride=x-sdxl-image-service-models${'a'.repeat(40)}`).metadata.name).toMatch(
        /^[a-z0-9-]{1,54}-[0-9a-f]{8}$/,
      ));
  });

  it('should listen on IPv4, or where it is told to', () => {
    expect(object(template(), 'Deployment')).toContain('{ name: HOST, value: "0.0.0.0" }');
    expect(object(template('listen=::'), 'Deployment')).toContain('{ name: HOST, value: "::" }');
  });

  describe('with network policies', () => {
    const policy = (role: string, ...values: string[]) =>
      parsed(
        'NetworkPolicy',
        `-${role}`,
        ...[...SHARED, 'models.pull.enabled=true', EVERYWHERE, 'networkPolicy.egress.enabled=true'],
        ...values,
      ).spec;
    const metrics = { ports: [{ port: 'metrics', protocol: 'TCP' }] };

    it('should let nobody reach workers but scrapers, and nobody the download', () => {
      expect(policy('worker')).toMatchObject({ policyTypes: ['Ingress', 'Egress'], ingress: [metrics] });
      expect(policy('models')).toMatchObject({ policyTypes: ['Ingress', 'Egress'], ingress: [] });
    });

    it('should let the test reach the API beside those who may', () => {
      const [http, ...others] = policy('api', 'networkPolicy.from[0].podSelector.matchLabels.a=b').ingress;
      expect(others).toEqual([metrics]);
      const [given, test] = http.from ?? [];
      expect(given).toEqual({ podSelector: { matchLabels: { a: 'b' } } });
      const { labels } = parsed('Pod', '-test').metadata;
      expect(labels).toMatchObject(test.podSelector.matchLabels);
      expect(Object.keys(test.podSelector.matchLabels)).toHaveLength(3);
      // An empty list means everybody, whom one more peer would keep out.
      expect(policy('api').ingress[0]).toEqual({ ports: [{ port: 'http', protocol: 'TCP' }] });
    });

    it.each(['api', 'worker', 'models'])('should let %s ask for names, also where DNS is on 5353', (role) =>
      expect(policy(role).egress[0]).toEqual({
        ports: [53, 5353].flatMap((port) => ['UDP', 'TCP'].map((protocol) => ({ port, protocol }))),
      }),
    );
  });

  it('should keep its pods from being evicted all at once, and have them scraped under a name that alerts know', () => {
    const values = [...SHARED, 'metrics.podMonitor.enabled=true'];
    const { selector, podMetricsEndpoints } = parsed('PodMonitor', '', ...values).spec;
    const [{ relabelings, port }] = podMetricsEndpoints;
    const [, known] = /job=~"([^"]+)"/.exec(read('deploy/prometheus/alerts.yaml')) ?? [];
    expect(relabelings).toEqual([expect.objectContaining({ targetLabel: 'job', regex: '(.+)' })]);
    expect(relabelings[0].replacement.replace('$1', 'worker')).toMatch(new RegExp(`^(?:${known})$`));
    for (const role of ['api', 'worker']) {
      const { metadata, spec } = parsed('Deployment', `-${role}`, ...values).spec.template;
      expect(parsed('PodDisruptionBudget', `-${role}`, ...values).spec).toEqual({
        maxUnavailable: 1,
        selector: { matchLabels: metadata.labels },
      });
      expect(metadata.labels).toMatchObject(selector.matchLabels);
      expect(selector.matchExpressions).toEqual([
        expect.objectContaining({
          key: 'app.kubernetes.io/component',
          values: expect.arrayContaining([role]) as string[],
        }),
      ]);
      expect(spec.containers[0].ports).toContainEqual(expect.objectContaining({ name: port }));
    }
  });

  it('should test a service that needs some time to answer', async () => {
    let asked = 0;
    const server = createServer((_request, response) => response.writeHead(++asked > 1 ? 200 : 503).end());
    await once(server.listen(0), 'listening');
    const { port } = server.address() as AddressInfo;
    const [{ command }] = parsed('Pod', '-test').spec.containers;
    const address = `http://localhost:${port}/openapi.json`;
    const { stderr } = await promisify(execFile)(process.execPath, [...command.slice(1), address]);
    server.close();
    expect([asked, stderr]).toEqual([2, `${address}: 503\n`]);
  });

  describe('with a scaler', () => {
    const scaler = (kind: string, ...values: string[]) =>
      parsed(
        kind,
        '-worker',
        ...[...SHARED, 'models.volume=none'],
        ...values.map((value) => `worker.autoscaling.${value}`),
      ).spec;
    const keda = (...values: string[]) => scaler('ScaledObject', 'type=keda', ...values);

    it('should bring a worker, not none, where Prometheus knows nothing of the jobs', () => {
      const { fallback, triggers } = keda('prometheus.address=http://p', 'minReplicas=0');
      expect(fallback).toMatchObject({ replicas: 1 });
      expect(triggers).toHaveLength(2);
      for (const { metadata } of triggers)
        expect(metadata).toMatchObject({
          query: expect.stringMatching(/^max\(image_jobs\{[^}]*\}\)$/) as string,
          ignoreNullValues: 'false',
        });
      // With workers there, none of them ends because Prometheus is away.
      expect(keda('prometheus.address=http://p')).not.toHaveProperty('fallback');
    });

    it('should ask Redis as a user of its own, and sentinels for the primary', () => {
      const redis = ['trigger=redis', 'redis.username=u', 'redis.address=a:1\\,b:2'];
      expect(keda(...redis).triggers[0]).toMatchObject({
        type: 'redis',
        metadata: { address: 'a:1,b:2', username: 'u' },
      });
      expect(keda(...redis, 'redis.sentinelMaster=m').triggers[0]).toMatchObject({
        type: 'redis-sentinel',
        metadata: { addresses: 'a:1,b:2', sentinelMaster: 'm', username: 'u' },
      });
    });

    it('should count waiting and running jobs by an adapter, too', () => {
      const metric = (state: string, averageValue: string) => ({
        type: 'External',
        external: {
          metric: { name: 'image_jobs', selector: { matchLabels: { state } } },
          target: { type: 'AverageValue', averageValue },
        },
      });
      expect(scaler('HorizontalPodAutoscaler', 'type=hpa', 'jobsPerWorker=3')).toMatchObject({
        minReplicas: 1,
        metrics: [metric('queued', '3'), metric('running', '1')],
      });
    });
  });

  it('should carry the alerts and the dashboard of deploy/, word for word', () => {
    const text = template('metrics.rules.enabled=true', 'metrics.dashboard.enabled=true');
    const indented = (file: string, spaces: number) =>
      read(file).trimEnd().replaceAll(/^/gm, ' '.repeat(spaces));
    expect(object(text, 'PrometheusRule')).toContain(indented('deploy/prometheus/alerts.yaml', 2));
    expect(object(text, 'ConfigMap', 'sdxl-image-service-dashboard')).toContain(
      indented('deploy/grafana/dashboard.json', 4),
    );
  });
});
