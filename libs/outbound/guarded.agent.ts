import { isIP } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { type AddressPolicy, PrivateAddressError } from './address.policy';

/**
 * The dispatcher for requests to addresses that strangers chose: it connects only where `policy` allows, by name or by
 * literal address, and fails with PrivateAddressError elsewhere. It does not follow redirects; whoever does sends each
 * hop through it again. The caller destroys it.
 */
export function guardedAgent(policy: AddressPolicy): Agent {
  const connect = buildConnector({ lookup: policy.lookup });
  return new Agent({
    pipelining: 0, // a connection that was allowed for one host name serves no second request
    connect: (options, callback) => {
      const { hostname } = options;
      if (isIP(hostname) && !policy.allows(hostname, hostname)) {
        callback(new PrivateAddressError(hostname), null);
      } else connect(options, callback);
    },
  });
}
