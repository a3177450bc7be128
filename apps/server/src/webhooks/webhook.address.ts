import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { AddressPolicy, portOf, RefusedAddressError } from '@app/outbound';

const FIELD = 'webhook_url';
const MAX_LENGTH = 2048;
/** Names that are looked up here at a time. */
const MOST_LOOKUPS = 64;

/** Judges the address of a webhook when a job is accepted, so that its author learns of a mistake at once. */
@Injectable()
export class WebhookAddress {
  private readonly policy: AddressPolicy;
  private lookups = 0;

  constructor(private readonly config: Config) {
    this.policy = new AddressPolicy(config.WEBHOOK_URL_ALLOW);
  }

  /**
   * Throws `invalid_request` for an address to which nothing would be sent. Today's name servers prove nothing about
   * tomorrow's: names are judged again at each connection, and one that does not resolve yet is fine.
   */
  async check(address: string): Promise<void> {
    if (this.config.WEBHOOK_SECRET.length === 0) {
      throw refuse('This service sends no webhooks: it has nothing to sign them with (WEBHOOK_SECRET)');
    }
    if (address.length > MAX_LENGTH) {
      throw invalid(`at most ${MAX_LENGTH} characters`, `${address.length}`);
    }
    const url = URL.canParse(address) ? new URL(address) : undefined;
    if (!url || !['http:', 'https:'].includes(url.protocol)) {
      throw invalid('an http or https address', 'something else');
    }
    if (url.username || url.password) {
      throw invalid('an address without user name and password', 'one with');
    }
    if (await this.isRefused(url)) throw invalid('a public address on port 80 or 443', 'another');
  }

  private isRefused(url: URL): Promise<boolean> {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // What is not judged now is judged when something is sent.
    if (this.policy.names(host) || this.lookups >= MOST_LOOKUPS) return Promise.resolve(false);
    this.lookups++;
    return new Promise((resolve) => {
      // Literal addresses resolve to themselves.
      this.policy.lookup(portOf(url))(host, { all: true }, (error) => {
        this.lookups--;
        resolve(error instanceof RefusedAddressError);
      });
    });
  }
}

const refuse = (sentence: string) => new ServiceError('invalid_request', sentence, FIELD);
const invalid = (expected: string, received: string) =>
  refuse(`Expected ${expected} for ${FIELD} but received ${received}`);
