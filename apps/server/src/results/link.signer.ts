import { createHmac, timingSafeEqual } from 'node:crypto';

/** Signs links to pictures, each for one key and a time, and knows what it signed. Keeps nothing of it. */
export class LinkSigner {
  constructor(
    private readonly secret: string | Buffer,
    /** Seconds that a link is valid. */
    private readonly lifetime: number,
  ) {}

  /** The query of a link that opens `key` from now on. */
  sign(key: string): string {
    const expires = String(seconds() + this.lifetime);
    return `expires=${expires}&signature=${this.signature(key, expires)}`;
  }

  /** Seconds for which `query` still opens `key`; undefined when it does not. A parameter that came twice is a list. */
  secondsLeft(key: string, query: object): number | undefined {
    const { expires, signature } = query as { expires?: unknown; signature?: unknown };
    if (typeof expires !== 'string' || typeof signature !== 'string') return undefined;
    // As texts: one signature has many spellings in base64url, of which one is ours.
    const [given, right] = [Buffer.from(signature), Buffer.from(this.signature(key, expires))];
    if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
    // Signed, so it is a number as we wrote it.
    const left = Number(expires) - seconds();
    return left > 0 ? left : undefined;
  }

  /** The time comes first: it ends at the first line break, whatever the key holds. */
  private signature(key: string, expires: string): string {
    return createHmac('sha256', this.secret).update(`${expires}\n${key}`).digest('base64url');
  }
}

const seconds = () => Math.floor(Date.now() / 1000);
