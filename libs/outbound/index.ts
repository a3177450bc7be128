export { AddressPolicy, portOf, RefusedAddressError, WEB_PORTS } from './address.policy';
export { guardedAgent } from './guarded.agent';
