export { AddressPolicy, RefusedAddressError, WEB_PORTS, portOf } from './address.policy';
export { guardedAgent } from './guarded.agent';
export { tlsRemedy } from './tls.remedy';
