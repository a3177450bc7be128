import { isIP } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { type AddressPolicy, portOf, RefusedAddressError } from './address.policy';

/**
 * The dispatcher for requests to addresses that strangers chose: it connects only where `policy` allows, by name or by
 * literal address, and fails with RefusedAddressError elsewhere. It does not follow redirects; whoever does sends each
 * hop through it again. Proxies that the environment names are not used: they would connect in its place. The caller
 * destroys it.
 */
export function guardedAgent(policy: AddressPolicy): Agent {
  return new Agent({
    pipelining: 0, // a connection that was allowed for one host name serves no second request
    connect: (options, callback) => {
      const { hostname } = options;
      const port = portOf(options);
      if (isIP(hostname) && !policy.allows(hostname, hostname, port)) {
        return callback(new RefusedAddressError(hostname), null);
      }
      const connect = buildConnector({ lookup: policy.lookup(port), maxCachedSessions: 0 });
      connect(options, (...[error, socket]) => {
        if (error) return callback(error, null);
        // What the kernel says counts: should an address ever slip past the two checks above, nothing is sent to it.
        if (policy.allows(hostname, socket.remoteAddress ?? '', port)) return callback(null, socket);
        socket.destroy();
        callback(new RefusedAddressError(hostname), null);
      });
    },
  });
}
