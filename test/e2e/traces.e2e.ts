import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';
import { until } from '../support/eventually';
import { ServiceProcess } from '../support/service.process';

/** Says at the end of its process which of OpenTelemetry's files were loaded. Its API is a part of prom-client. */
const TELLTALE = `process.once('exit', () => {
  const loaded = Object.keys(require.cache).filter((file) => /@opentelemetry.(?!api.)|open\\.telemetry/.test(file));
  require('node:fs').writeSync(1, 'loaded ' + JSON.stringify(loaded) + '\\n');
});`;

describe('OpenTelemetry', () => {
  const folder = temporaryFolder();
  const preload = join(folder, 'telltale.cjs');
  beforeAll(() => writeFileSync(preload, TELLTALE));

  const loadedBy = async (variables: Record<string, string>, line = /Listening/) => {
    const lines: string[] = [];
    const nowhere = 'http://127.0.0.1:1';
    // Without engines, and with servers that are away: it answers all the same.
    const service = await ServiceProcess.start(
      {
        ...{ DATA_DIR: folder, ROLE: 'api', REDIS_URL: 'redis://127.0.0.1:1', FACE_DETECTION: 'false' },
        ...{
          S3_BUCKET_NAME: 'none',
          S3_ENDPOINT: nowhere,
          AWS_ACCESS_KEY_ID: 'a',
          AWS_SECRET_ACCESS_KEY: 'b',
        },
        ...variables,
      },
      { nodeArguments: ['--require', preload], onLine: (line) => void lines.push(line) },
    );
    expect((await fetch(`${service.url}/v1/models`)).status).toBe(200);
    await until(() => lines.some((told) => line.test(told)));
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    const told = lines.find((line) => line.startsWith('loaded '))!;
    return JSON.parse(told.slice('loaded '.length)) as string[];
  };

  it('should not be loaded without an address for traces', async () => {
    const loaded = await loadedBy({});
    expect(loaded).toEqual([]);
  });

  it('should be loaded with one, and say so where the collector is away', async () => {
    const loaded = await loadedBy(
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
        ...{ OTEL_BSP_SCHEDULE_DELAY: '50', OTEL_EXPORTER_OTLP_TIMEOUT: '200' },
      },
      /Traces do not arrive at http:\/\/127\.0\.0\.1:1 and are dropped/,
    );
    for (const file of ['tracing/open.telemetry.js', '@opentelemetry/sdk-trace-base/'])
      expect(loaded.some((path) => path.includes(file))).toBe(true);
  });
});
