const FIRST = 5_000;
const LONGEST = 60_000;

/**
 * Hosts that gave no answer are left alone for a while, longer each time, so that their messages do not take the places of
 * others. What this process saw is enough: another one finds out by itself.
 */
export class HostPauses {
  /** Longest not seen first. */
  private readonly pauses = new Map<string, { readonly until: number; readonly length: number }>();

  /** @param now milliseconds, of any clock, here and below */
  has(host: string, now: number): boolean {
    return now < (this.pauses.get(host)?.until ?? 0);
  }

  answered(host: string): void {
    this.pauses.delete(host);
  }

  failed(host: string, now: number): void {
    const last = this.pauses.get(host);
    if (last && now < last.until) return; // messages that were on their way together fail together
    const length = last ? Math.min(2 * last.length, LONGEST) : FIRST;
    this.pauses.delete(host);
    this.pauses.set(host, { until: now + length, length });
    for (const [old, { until }] of this.pauses) {
      if (now < until + LONGEST) break;
      this.pauses.delete(old);
    }
  }
}
