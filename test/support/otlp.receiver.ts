import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as OTLP's JSON has it; what tests look at. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code?: number };
  readonly attributes: Readonly<Record<string, unknown>>;
  /** The process that made it. */
  readonly service: string;
}

interface Value {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly Value[] };
}
type KeyValue = { readonly key: string; readonly value: Value };

/** A collector of traces on 127.0.0.1 that keeps what it got by `http/json`. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  readonly requests: {
    readonly path: string;
    readonly headers: Record<string, string>;
    readonly body: Buffer;
  }[] = [];
  /** The next answer: a status, or nothing at all. */
  answer: () => number | 'silence' = () => 200;
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        this.requests.push({ path: request.url!, headers: request.headers as Record<string, string>, body });
        const status = this.answer();
        if (status === 'silence') return;
        if (status === 200 && request.headers['content-type'] === 'application/json')
          this.keep(body.toString());
        response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
      });
    });
  }

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    await new Promise<void>((resolve) => receiver.server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  /** For a service that sends its spans here, within a moment. */
  get variables(): Record<string, string> {
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    };
  }

  named(name: string): ReceivedSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private keep(json: string): void {
    const { resourceSpans } = JSON.parse(json) as {
      resourceSpans: {
        resource: { attributes: KeyValue[] };
        scopeSpans: {
          spans: (Omit<ReceivedSpan, 'attributes' | 'service'> & { attributes: KeyValue[] })[];
        }[];
      }[];
    };
    for (const { resource, scopeSpans } of resourceSpans) {
      const { 'service.instance.id': service } = toObject(resource.attributes);
      for (const { spans } of scopeSpans)
        for (const span of spans)
          this.spans.push({ ...span, attributes: toObject(span.attributes), service: String(service) });
    }
  }
}

const toObject = (attributes: readonly KeyValue[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, toValue(value)]));

const toValue = ({ stringValue, intValue, doubleValue, arrayValue }: Value): unknown =>
  arrayValue ? arrayValue.values.map(toValue) : (stringValue ?? doubleValue ?? Number(intValue));
