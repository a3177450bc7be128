import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { resolveBySystem, resolveName } from './names';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Today's whole global unicast space (IANA: 2000::/3); ipaddr.js calls everything it does not know unicast. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');

/** The ports of the web. On any other a stranger could talk to what was never meant for strangers. */
export const WEB_PORTS = new Set([80, 443]);

/** The port of a URL or of what undici connects to. */
export function portOf({ protocol, port }: { protocol: string; port: string }): number {
  return Number(port) || (protocol === 'https:' ? 443 : 80);
}

/**
 * Which addresses a URL from outside may reach: the public internet on WEB_PORTS, and what the operator names
 * (REFERENCE_URL_ALLOW, WEBHOOK_URL_ALLOW) on any port.
 */
export class AddressPolicy {
  private readonly hosts = new Set<string>();
  private readonly ranges: [Address, number][] = [];

  /** @param allow host names, addresses or CIDRs */
  constructor(allow: readonly string[]) {
    for (const entry of allow) {
      if (ipaddr.isValidCIDR(entry)) this.ranges.push(ipaddr.parseCIDR(entry));
      else if (isIP(entry)) this.ranges.push([ipaddr.process(entry), isIP(entry) === 4 ? 32 : 128]);
      else this.hosts.add(entry.toLowerCase());
    }
  }

  /** Whether the operator allows the host itself, whatever it resolves to. */
  names(host: string): boolean {
    return this.hosts.has(host.toLowerCase());
  }

  /** Whether `address`, to which `host` resolved, may be connected to. */
  allows(host: string, address: string, port: number): boolean {
    if (this.names(host)) return true;
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address); // an IPv4-mapped address is judged as the IPv4 address that it is
    const named = this.ranges.some(
      ([range, bits]) => parsed.kind() === range.kind() && parsed.match(range, bits),
    );
    return named || (WEB_PORTS.has(port) && isPublic(parsed));
  }

  /**
   * For `net.connect` to this port: resolves a name and hands on only addresses that are allowed. The socket connects
   * to exactly these, so a name that answers differently the second time (DNS rebinding) gains nothing.
   * `net.connect` does not call it for literal addresses: ask `allows` for those.
   */
  lookup(port: number): LookupFunction {
    return (host, options, callback) => {
      const answer = this.names(host) ? resolveBySystem(host) : resolveName(host);
      answer.then(
        (found) => {
          const allowed = found.filter(({ address }) => this.allows(host, address, port));
          if (allowed.length === 0) return callback(new RefusedAddressError(host), '');
          if (options.all) callback(null, allowed);
          else callback(null, allowed[0].address, allowed[0].family);
        },
        (error: NodeJS.ErrnoException) => callback(error, ''),
      );
    };
  }
}

/** Looks public, but answers only inside: Azure's metadata and wire server. */
const HOST_ONLY = '168.63.129.16';

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast' || address.toString() === HOST_ONLY) return false;
  return address instanceof ipaddr.IPv4 || address.match(GLOBAL_IPV6);
}

/** Private, reserved, or on another port than those of the web: callers do not learn which. */
export class RefusedAddressError extends Error {
  override readonly name = RefusedAddressError.name;

  constructor(host: string) {
    super(`${host} is not a public address on port ${[...WEB_PORTS].join(' or ')}`);
  }
}
