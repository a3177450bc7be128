const USER = String.raw`([^\s/?#]*@)?`;
const ONE = String.raw`rediss?://${USER}[^\s/?#@,]*(/\d{0,5})?`;
const SENTINELS = String.raw`rediss?\+sentinel://${USER}[^\s/?#@]+/[\w.-]+(/\d{1,5})?`;
/** A database that is no number, or half an escape in a password. */
const WRONG = String.raw`(?!.*[?&]db=(?!\d+(&|$)))(?!.*%(?![\dA-Fa-f]{2}))`;

/** What libs/jobs/redis/redis.address.ts reads. ioredis would take database 0 where it does not understand one. */
export const REDIS_ADDRESS = new RegExp(`^${WRONG}(${ONE}|${SENTINELS})(\\?\\S*)?$`);
