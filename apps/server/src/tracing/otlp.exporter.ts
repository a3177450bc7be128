import { Logger } from '@nestjs/common';
import { ExportResultCode, type ExportResult } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Config } from '@app/config';

/** By OTLP over HTTP, as OTEL_EXPORTER_OTLP_PROTOCOL says. */
export async function otlpExporter(
  url: string,
  { OTEL_EXPORTER_OTLP_PROTOCOL }: Config,
): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    OTEL_EXPORTER_OTLP_PROTOCOL === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new ToldExporter(new OTLPTraceExporter({ url }), new URL(url).origin);
}

/** Says once that spans do not arrive, and once that they do again; the library would say it every few seconds. */
class ToldExporter implements SpanExporter {
  private readonly logger = new Logger('Tracing');
  private arrives = true;

  constructor(
    private readonly exporter: SpanExporter,
    private readonly where: string,
  ) {}

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.exporter.export(spans, (result) => {
      const arrives = result.code === ExportResultCode.SUCCESS;
      if (arrives && !this.arrives) this.logger.log(`Traces arrive at ${this.where} again`);
      if (!arrives && this.arrives)
        this.logger.warn(`Traces do not arrive at ${this.where} and are dropped: ${result.error?.message}`);
      this.arrives = arrives;
      done(result);
    });
  }

  forceFlush(): Promise<void> {
    return this.exporter.forceFlush?.() ?? Promise.resolve();
  }

  shutdown(): Promise<void> {
    return this.exporter.shutdown();
  }
}
