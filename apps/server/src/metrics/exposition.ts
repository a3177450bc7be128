import { type PrometheusContentType, Registry, type RegistryContentType } from 'prom-client';
import { sharedReading } from './shared.reading';

/** OpenMetrics for a reader that names it, as Prometheus does; only there have buckets exemplars. */
export const formatFor = (accept = ''): RegistryContentType =>
  accept.includes('application/openmetrics-text')
    ? Registry.OPENMETRICS_CONTENT_TYPE
    : Registry.PROMETHEUS_CONTENT_TYPE;

/** The metrics of an application, in either format. */
export class Exposition {
  /** Not prom-client's global one: each application counts for itself. */
  readonly registry = new Registry();
  private last: Promise<unknown> = Promise.resolve();
  private readonly open = sharedReading(() => this.inTurn(Registry.OPENMETRICS_CONTENT_TYPE));
  private readonly text = sharedReading(() => this.inTurn(Registry.PROMETHEUS_CONTENT_TYPE));

  constructor() {
    // Histograms with exemplars can be made in no other.
    this.become(Registry.OPENMETRICS_CONTENT_TYPE);
  }

  /** Whoever asks while it is written gets the same: a slow source makes no queue of readers. */
  write(format: RegistryContentType): Promise<string> {
    return format === Registry.OPENMETRICS_CONTENT_TYPE ? this.open() : this.text();
  }

  /** One format at a time: for OpenMetrics prom-client renames its counters, for good. */
  private inTurn(format: RegistryContentType): Promise<string> {
    const written = this.last.then(() => this.writeAlone(format));
    this.last = written.catch(() => {});
    return written;
  }

  private async writeAlone(format: RegistryContentType): Promise<string> {
    const { registry } = this;
    const metrics = registry.getMetricsAsArray();
    const names = metrics.map(({ name }) => name);
    this.become(format);
    try {
      return await registry.metrics();
    } finally {
      metrics.forEach((metric, i) => (metric.name = names[i]));
    }
  }

  /** Its type knows one of the formats. */
  private become(format: RegistryContentType): void {
    this.registry.setContentType(format as PrometheusContentType);
  }
}
