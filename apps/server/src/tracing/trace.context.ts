import {
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { TraceContext } from '@app/jobs';

const propagator = new W3CTraceContextPropagator();

/** A trace that came from elsewhere, in headers or in a job's record; what is none begins a new one. */
export const contextOf = (carrier: object): Context =>
  propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);

/** By which others go on with a trace. */
export function carrierOf(span: Span): TraceContext | undefined {
  const carrier: Partial<Record<keyof TraceContext, string>> = {};
  propagator.inject(trace.setSpan(ROOT_CONTEXT, span), carrier, defaultTextMapSetter);
  return carrier.traceparent === undefined ? undefined : (carrier as TraceContext);
}

/** `kind`: one of a few words, never a message. */
export function fail(span: Span, kind: string): void {
  span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', kind);
}
