import type { Redis } from 'ioredis';
import { ARRANGE, OLDEST, WAITING } from './redis.turn.scripts';

/** The account's jobs that are queued or running. */
const OF_ACCOUNT = `
local function ofAccount(account, waiting, running, jobs)
  local count = redis.call('ZCARD', waiting)
  for _, id in ipairs(redis.call('ZRANGE', running, 0, -1)) do
    if (redis.call('HGET', jobs .. id, 'account') or '') == account then count = count + 1 end
  end
  return count
end
`;

/** `hasRoom` of fair.share.ts. Keys: queued, running, the account's waiting ones. */
const HAS_ROOM = `${OF_ACCOUNT}
local function hasRoom(account, jobs, limit, queued, running, waiting)
  local all = redis.call('ZCARD', queued) + redis.call('ZCARD', running)
  return ofAccount(account, waiting, running, jobs) < 2 * limit - all
end
`;

/** Keys: queued, running, the account's waiting ones. Arguments: account, the beginning of records' keys, limit. */
const ROOM = `${HAS_ROOM}
return hasRoom(ARGV[1], ARGV[2], tonumber(ARGV[3]), KEYS[1], KEYS[2], KEYS[3]) and 1 or 0
`;

/**
 * Writes a new job, or says why not. Redis carries a script out whole before it looks at anything else.
 * Keys: record, seq, the account's times, idempotency key, queued, running, the caller's live jobs, the account's waiting
 * ones, deadlines, webhooks, accounts, the user's deletion, then every set scored by seq. Answers a word and, where there is one, a record; with
 * 'forgotten' a fingerprint.
 */
const ACCEPT = `${HAS_ROOM}
local id, json, cost, limit, limitPerCaller = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local deadline, keyed, ttl, tail, jobs = ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9], ARGV[10]
local webhookAt, account, createdAt = ARGV[11], ARGV[12], tonumber(ARGV[13])

if keyed == '1' then
  local owner = redis.call('GET', KEYS[4])
  local fingerprint = owner and string.match(owner, ':(.*)')
  if fingerprint then return {'forgotten', fingerprint} end
  local known = owner and redis.call('HGET', jobs .. owner, 'record')
  if known then return {'known', known} end
end
if tonumber(redis.call('GET', KEYS[12]) or '0') >= createdAt then return {'user_deleted'} end
if not hasRoom(account, jobs, limit, KEYS[5], KEYS[6], KEYS[8]) then return {'queue_full'} end
if limitPerCaller and redis.call('ZCARD', KEYS[7]) >= limitPerCaller then return {'caller_full'} end

local seq = redis.call('INCR', KEYS[2])
local start = tonumber(redis.call('HGET', KEYS[3], 'virtual') or '0')
local last = redis.call('ZREVRANGE', KEYS[7], 0, 0, 'WITHSCORES')
if last[2] then start = math.max(start, tonumber(last[2])) end
local place = string.format(',"place":{"seq":%.0f,"start":%.0f,"finish":%.0f}}', seq, start, start + cost)
local record = string.sub(json, 1, -2) .. place

redis.call('HSET', KEYS[1], 'record', record, 'rev', 1, 'account', account)
redis.call('ZADD', KEYS[7], string.format('%.0f', start + cost), id)
redis.call('ZADD', KEYS[8], string.format('%.0f', start), string.format('%016.0f:', seq) .. tail)
redis.call('ZADD', KEYS[9], deadline, id)
if webhookAt ~= '' then redis.call('ZADD', KEYS[10], webhookAt, id) end
redis.call('SADD', KEYS[11], account)
for i = 13, #KEYS do redis.call('ZADD', KEYS[i], seq, id) end
redis.call('ZADD', KEYS[5], seq, id)
if keyed == '1' and ttl > 0 then redis.call('SET', KEYS[4], id, 'PX', ttl) end
return {'accepted', record}
`;

/** Keeps the time at KEYS[1] for ARGV[1] milliseconds, and answers it. */
const DELETE_USER = `
local time = redis.call('TIME')
local now = string.format('%d%03d', time[1], math.floor(time[2] / 1000))
redis.call('SET', KEYS[1], now, 'PX', ARGV[1])
return now
`;

/**
 * Replaces or removes a record that is still at revision ARGV[1], else answers 0. An empty ARGV[2] removes it. ARGV[3] and
 * ARGV[4]: start and cost of a job that goes to running, or empty. ARGV[5]: the id whose idempotency key becomes free, or
 * empty; where ARGV[8] is a fingerprint, the key holds it instead for the rest of its time. ARGV[6]: its account, forgotten with the last job that is queued or running. ARGV[7]: the beginning of records' keys.
 * Keys: record, virtual time, idempotency key, the account's times, accounts, its waiting ones, running, then a set per
 * change of an index; after ARGV[8] a score, empty to remove, and a member for each of these.
 */
const CHANGE = `${OF_ACCOUNT}
if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'record', ARGV[2])
  redis.call('HINCRBY', KEYS[1], 'rev', 1)
end
if ARGV[3] ~= '' then
  local start, cost = tonumber(ARGV[3]), tonumber(ARGV[4])
  local virtual = math.max(start, tonumber(redis.call('HGET', KEYS[4], 'virtual') or '0'))
  local turn = tonumber(redis.call('GET', KEYS[2]) or '0')
  turn = math.max(turn, tonumber(redis.call('HGET', KEYS[4], 'finish') or '0'))
  redis.call('SET', KEYS[2], string.format('%.0f', turn))
  redis.call('HSET', KEYS[4], 'virtual', string.format('%.0f', virtual), 'finish', string.format('%.0f', turn + cost))
end
if ARGV[5] ~= '' and redis.call('GET', KEYS[3]) == ARGV[5] then
  local left = ARGV[8] == '' and 0 or redis.call('PTTL', KEYS[3])
  if left > 0 then redis.call('SET', KEYS[3], ARGV[5] .. ':' .. ARGV[8], 'PX', left) else redis.call('DEL', KEYS[3]) end
end
for i = 8, #KEYS do
  local score, member = ARGV[2 * i - 7], ARGV[2 * i - 6]
  if score == '' then redis.call('ZREM', KEYS[i], member) else redis.call('ZADD', KEYS[i], score, member) end
end
if ofAccount(ARGV[6], KEYS[6], KEYS[7], ARGV[7]) == 0 then
  redis.call('SREM', KEYS[5], ARGV[6])
  redis.call('DEL', KEYS[4])
end
return 1
`;

/**
 * Appends an event (JSON) to a job's stream, unless its states KEYS[2] are kept already: then it is finished. Publishes
 * it, with its id, on the channel ARGV[4].
 */
const PUBLISH = `
local id
if redis.call('EXISTS', KEYS[2]) == 1 then
  local time = redis.call('TIME')
  -- Behind those of the stream in the same millisecond.
  id = string.format('%d%03d-%d', time[1], math.floor(time[2] / 1000), 1000 + time[2] % 1000)
else
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'event', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
redis.call('PUBLISH', ARGV[4], '{"id":"' .. id .. '",' .. string.sub(ARGV[1], 2))
return id
`;

/**
 * Keeps of the stream KEYS[1] only the states, as a JSON list at KEYS[2], for ARGV[1] milliseconds: the smallest stream takes
 * ten times as much memory.
 */
const FINISH = `
local states = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  local json = entry[2][2]
  if cjson.decode(json)['type'] == 'state' then
    states[#states + 1] = '{"id":"' .. entry[1] .. '",' .. string.sub(json, 2)
  end
end
if #states > 0 then redis.call('SET', KEYS[2], '[' .. table.concat(states, ',') .. ']') end
redis.call('DEL', KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return #states
`;

/** Publishes an event (JSON) that is not kept on the channel ARGV[2], with the id of the newest that is. */
const PREVIEW = `
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id = newest and newest[1] or '0-0'
redis.call('PUBLISH', ARGV[2], '{"id":"' .. id .. '",' .. string.sub(ARGV[1], 2))
return id
`;

/**
 * Renews BullMQ's lock ARGV[2] of job ARGV[1] for ARGV[3] milliseconds; where it ran out also, as long as nobody has
 * taken the job since. 0: somebody has. Keys: lock, active jobs, stalled jobs, waiting jobs, waiting ones with a priority.
 */
const RENEW = `
local id, token = ARGV[1], ARGV[2]
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= token then return 0 end
if not owner and not redis.call('LPOS', KEYS[2], id) then
  if redis.call('LREM', KEYS[4], 1, id) + redis.call('ZREM', KEYS[5], id) == 0 then return 0 end
  redis.call('LPUSH', KEYS[2], id)
end
redis.call('SET', KEYS[1], token, 'PX', ARGV[3])
redis.call('SREM', KEYS[3], id)
return 1
`;

const SCRIPTS = {
  jobAccept: ACCEPT,
  jobChange: CHANGE,
  jobsRoom: ROOM,
  userDelete: DELETE_USER,
  jobsWaiting: WAITING,
  jobsArrange: ARRANGE,
  jobsOldest: OLDEST,
  eventPublish: PUBLISH,
  eventPreview: PREVIEW,
  eventsFinish: FINISH,
  lockRenew: RENEW,
};

/** Runs a script, by its hash once the server knows it. */
export async function runScript(
  client: Redis,
  name: keyof typeof SCRIPTS,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  const commands = client as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  if (!(name in client)) client.defineCommand(name, { lua: SCRIPTS[name] });
  return commands[name](keys.length, ...keys, ...args);
}
