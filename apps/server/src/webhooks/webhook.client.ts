import { Webhook } from 'standardwebhooks';
import { type Agent, fetch } from 'undici';
import type { Config } from '@app/config';
import { AddressPolicy, guardedAgent, RefusedAddressError } from '@app/outbound';
import { aboutService } from '../docs/service.version';

export interface WebhookMessage {
  /** The same at every attempt, so that receivers notice what they already have. */
  readonly id: string;
  readonly url: string;
  readonly body: string;
  /** Others than its own. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Posts signed messages (https://www.standardwebhooks.com) to addresses that strangers chose. */
export class WebhookClient {
  /** Milliseconds for everything: name, connection, answer. */
  timeout = 10_000;
  /** While one secret replaces another, messages carry a signature by each; receivers accept any. */
  private readonly signers: readonly Webhook[];
  private readonly agent: Agent;
  private readonly userAgent: string;

  constructor(config: Config) {
    this.signers = config.WEBHOOK_SECRET.map((secret) => new Webhook(secret));
    this.agent = guardedAgent(new AddressPolicy(config.WEBHOOK_URL_ALLOW));
    const { name, version } = aboutService();
    this.userAgent = `${name}/${version}`;
  }

  /** Without a secret nothing can be signed, so nothing is sent. */
  get canSign(): boolean {
    return this.signers.length > 0;
  }

  /** The answer's status, or why there is none, in a few words. Rejects only with the reason of `stop`. */
  async post({ id, url, body, headers }: WebhookMessage, stop: AbortSignal): Promise<string> {
    const timeout = AbortSignal.timeout(this.timeout);
    const now = new Date();
    if (!/^https?:/i.test(url)) return 'refused address'; // fetch would answer data: by itself
    try {
      const response = await fetch(url, {
        method: 'POST',
        dispatcher: this.agent,
        redirect: 'manual', // a redirect counts as a failure: the new address was never checked
        headers: {
          ...headers,
          'content-type': 'application/json',
          'user-agent': this.userAgent,
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': this.signers.map((signer) => signer.sign(id, now, body)).join(' '),
        },
        body,
        signal: AbortSignal.any([stop, timeout]),
      });
      // The status is the answer: whatever else comes, or breaks, is not read.
      response.body?.cancel().catch(() => undefined);
      return String(response.status);
    } catch (error) {
      stop.throwIfAborted();
      return timeout.aborted ? 'timeout' : reason(error);
    }
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }
}

const REASONS: Partial<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed',
  EPIPE: 'connection closed',
  UND_ERR_SOCKET: 'connection closed',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'host unreachable',
  ENOTFOUND: 'name not found',
  EAI_AGAIN: 'name not found',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
};

/** Whoever owns the job reads this: no message of the network's, which would name addresses. */
function reason(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  if (cause instanceof RefusedAddressError) return 'refused address';
  const { code = '' } = (cause ?? {}) as NodeJS.ErrnoException;
  if (/CERT|TLS|SSL|SIGNATURE|EPROTO/.test(code)) return 'TLS failed';
  return REASONS[code] ?? 'no connection';
}
