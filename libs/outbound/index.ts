export { AddressPolicy, RefusedAddressError, WEB_PORTS, portOf } from './address.policy';
export { guardedAgent } from './guarded.agent';
export { NoPlaceError, Shares } from './shares';
export { tlsRemedy } from './tls.remedy';
