import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedWebhook {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A receiver of webhooks on 127.0.0.1 that keeps what it got. */
export class WebhookReceiver {
  readonly received: ReceivedWebhook[] = [];
  /** The next answer: a status, or nothing at all. Redirects lead back here. */
  answer: () => number | 'silence' = () => 200;
  url = '';
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        this.received.push({ headers: request.headers as Record<string, string>, body });
        const status = this.answer();
        if (status !== 'silence') response.writeHead(status, { location: '/elsewhere' }).end('thanks');
      });
    });
  }

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver();
    await new Promise<void>((resolve) => receiver.server.listen(0, '127.0.0.1', resolve));
    receiver.url = `http://127.0.0.1:${(receiver.server.address() as AddressInfo).port}/hook`;
    return receiver;
  }

  /** `webhook-id` of each message. */
  get ids(): string[] {
    return this.received.map(({ headers }) => headers['webhook-id']);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
