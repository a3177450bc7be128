import type { Redis } from 'ioredis';

/**
 * Writes a new job, or says why not. Redis carries a script out whole before it looks at anything else.
 * Keys: record, seq, virtual time, idempotency key, queued, running, the caller's live jobs, waiting, deadlines,
 * webhooks, then every set scored by seq. Answers a word and, where there is one, a record.
 */
const ACCEPT = `
local id, json, cost, limit, limitPerCaller = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local deadline, keyed, ttl, tail, jobs = ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9], ARGV[10]
local webhookAt = ARGV[11]

if keyed == '1' then
  local owner = redis.call('GET', KEYS[4])
  local known = owner and redis.call('HGET', jobs .. owner, 'record')
  if known then return {'known', known} end
end
local queued = redis.call('ZCARD', KEYS[5])
if queued + redis.call('ZCARD', KEYS[6]) >= limit then return {'queue_full'} end
if limitPerCaller and redis.call('ZCARD', KEYS[7]) >= limitPerCaller then return {'caller_full'} end

local seq = redis.call('INCR', KEYS[2])
local start = tonumber(redis.call('GET', KEYS[3]) or '0')
local last = redis.call('ZREVRANGE', KEYS[7], 0, 0, 'WITHSCORES')
if last[2] then start = math.max(start, tonumber(last[2])) end
local place = string.format(',"place":{"seq":%.0f,"start":%.0f,"finish":%.0f}}', seq, start, start + cost)
local record = string.sub(json, 1, -2) .. place

redis.call('HSET', KEYS[1], 'record', record, 'rev', 1)
redis.call('ZADD', KEYS[7], string.format('%.0f', start + cost), id)
redis.call('ZADD', KEYS[8], string.format('%.0f', start), string.format('%016.0f:', seq) .. tail)
redis.call('ZADD', KEYS[9], deadline, id)
if webhookAt ~= '' then redis.call('ZADD', KEYS[10], webhookAt, id) end
for i = 11, #KEYS do redis.call('ZADD', KEYS[i], seq, id) end
redis.call('ZADD', KEYS[5], seq, id)
if keyed == '1' and ttl > 0 then redis.call('SET', KEYS[4], id, 'PX', ttl) end
return {'accepted', record}
`;

/**
 * Replaces or removes a record that is still at revision ARGV[1], else answers 0. An empty ARGV[2] removes it; ARGV[3]
 * is the least that the virtual time must be, or empty; ARGV[4] the id whose idempotency key becomes free, or empty.
 * Keys: record, virtual time, idempotency key, then a set per change of an index; after ARGV[4] a score, empty to
 * remove, and a member for each of these.
 */
const CHANGE = `
if redis.call('HGET', KEYS[1], 'rev') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'record', ARGV[2])
  redis.call('HINCRBY', KEYS[1], 'rev', 1)
end
if ARGV[3] ~= '' and tonumber(ARGV[3]) > tonumber(redis.call('GET', KEYS[2]) or '0') then
  redis.call('SET', KEYS[2], ARGV[3])
end
if ARGV[4] ~= '' and redis.call('GET', KEYS[3]) == ARGV[4] then redis.call('DEL', KEYS[3]) end
for i = 4, #KEYS do
  local score, member = ARGV[2 * i - 3], ARGV[2 * i - 2]
  if score == '' then redis.call('ZREM', KEYS[i], member) else redis.call('ZADD', KEYS[i], score, member) end
end
return 1
`;

/** Members before ARGV[1] in the set, or nothing when it is not in it. */
const BEFORE = `
local rank = redis.call('ZRANK', KEYS[1], ARGV[1])
if not rank then return nil end
if rank == 0 then return {} end
return redis.call('ZRANGE', KEYS[1], 0, rank - 1)
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
  jobsBefore: BEFORE,
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
