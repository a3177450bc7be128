import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { diag, DiagLogLevel, SpanKind, type Attributes, type Context, type Tracer } from '@opentelemetry/api';
import { setGlobalErrorHandler } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { RequestHandler } from 'express';
import { traceIdOf, type JobRecord, type Jobs } from '@app/jobs';
import type { PipelineService } from '@app/pipeline';
import { aboutService } from '../docs/service.version';
import { templateAt } from '../errors/routes';
import { PROBES } from '../http/probes';
import { requestScope } from '../http/request.scope';
import { traceJobs } from './job.traces';
import { carrierOf, contextOf, fail } from './trace.context';
import type { OutboundCall, Tracing } from './tracing';

export { otlpExporter } from './otlp.exporter';

/** At the end of the process spans get this long to leave, in milliseconds: a collector that is down delays nobody longer. */
const LAST_EXPORT = 2_000;

/** Spans of requests, jobs and webhooks. Attributes name no prompts, paths, users or keys. */
export class OpenTelemetry implements Tracing, OnApplicationShutdown {
  private readonly provider: BasicTracerProvider;
  private readonly tracer: Tracer;

  constructor(
    exporter: SpanExporter,
    jobs: Jobs,
    private readonly adapter: HttpAdapterHost,
    pipeline?: PipelineService,
  ) {
    const { name, version } = aboutService();
    const own = {
      'service.name': name,
      'service.version': version,
      'service.instance.id': `${hostname()}:${process.pid}`,
    };
    hearDiagnostics();
    this.provider = new BasicTracerProvider({
      resource: defaultResource()
        .merge(resourceFromAttributes(own))
        .merge(detectResources({ detectors: [envDetector] })),
      spanProcessors: [new BatchSpanProcessor(exporter)],
    });
    this.tracer = this.provider.getTracer(name, version);
    traceJobs(jobs, this.tracer, () => pipeline?.status().model);
  }

  readonly observe: RequestHandler = (request, response, next) => {
    if (PROBES.test(request.path)) return next();
    const { method } = request;
    const reqId = request.id as string;
    const parent = contextOf(request.headers);
    const attributes = {
      'http.request.method': method,
      // Leads to the lines of the log.
      'http.request.header.x-request-id': [reqId],
    };
    const span = this.tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
    response.once('close', () => {
      const { path } = (request.route ?? {}) as { path?: string };
      const route = path ?? templateAt(this.adapter, request.path);
      if (route !== undefined) span.updateName(`${method} ${route}`).setAttribute('http.route', route);
      const { statusCode: status } = response;
      if (response.headersSent) span.setAttribute('http.response.status_code', status);
      if (!response.writableFinished) fail(span, 'aborted');
      else if (status >= 500) fail(span, String(status));
      span.end();
    });
    const carrier = carrierOf(span);
    response.locals.traceId = traceIdOf(carrier);
    requestScope.run({ reqId, trace: carrier }, next);
  };

  fetch(host: string): OutboundCall | undefined {
    const { trace: carrier } = requestScope.getStore() ?? {};
    if (!carrier) return undefined;
    const call = this.call('GET', 'GET', host, contextOf(carrier));
    // A stranger's server: `tracestate` may say who traces, and by what.
    return { ...call, headers: { traceparent: call.headers.traceparent } };
  }

  delivery({ trace: carrier, webhook }: JobRecord, index: number): OutboundCall | undefined {
    if (!carrier) return undefined;
    const { event, attempts } = webhook!.deliveries[index];
    const { host } = new URL(webhook!.url);
    const attributes = {
      'image.webhook.event': event,
      ...(attempts > 1 && { 'http.request.resend_count': attempts - 1 }),
    };
    return this.call('webhook', 'POST', host, contextOf(carrier), attributes);
  }

  /** Bounded: what cannot leave by then is lost. */
  async onApplicationShutdown(): Promise<void> {
    const left = this.provider.shutdown().catch(() => {});
    await Promise.race([left, sleep(LAST_EXPORT, undefined, { ref: false })]);
  }

  private call(
    name: string,
    method: string,
    host: string,
    parent: Context,
    more: Attributes = {},
  ): OutboundCall {
    const attributes = { 'http.request.method': method, 'server.address': host, ...more };
    const span = this.tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, parent);
    const end = (outcome: string) => {
      if (/^\d+$/.test(outcome)) span.setAttribute('http.response.status_code', Number(outcome));
      if (!/^2\d\d$/.test(outcome)) fail(span, outcome);
      span.end();
    };
    return { headers: { ...carrierOf(span) }, end };
  }
}

/** What the library says of its own variables. Exports that fail are told by otlp.exporter.ts. */
function hearDiagnostics(): void {
  const logger = new Logger('Tracing');
  const say = (message: string) => logger.warn(message);
  const mute = () => {};
  diag.setLogger(
    { error: say, warn: say, info: mute, debug: mute, verbose: mute },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler(mute);
}
