export { AddressPolicy, PrivateAddressError } from './address.policy';
export { guardedAgent } from './guarded.agent';
