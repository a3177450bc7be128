const USER = String.raw`([^\s/?#]*@)?`;
const SERVER = String.raw`(\[[\dA-Fa-f:.]+\]|[^\s/?#@,:[\]]+)(:\d{1,5})?`;
const ONE = String.raw`rediss?://${USER}(${SERVER})?(/\d{0,5})?`;
const SENTINELS = String.raw`rediss?\+sentinel://${USER}${SERVER}(,${SERVER})*/[\w.-]+(/\d{1,5})?`;
/** A database that is no number, or half an escape in a password. */
const WRONG = String.raw`(?!.*[?&]db=(?!\d+(&|$)))(?!.*%(?![\dA-Fa-f]{2}))`;

/**
 * What libs/jobs/redis/redis.address.ts reads. ioredis would take database 0 where it does not understand one; and half a
 * password, before a sign that ends it, must not pass for a host and its port.
 */
export const REDIS_ADDRESS = new RegExp(`^${WRONG}(${ONE}|${SENTINELS})(\\?([A-Za-z]\\w*=\\S*)?)?$`);
