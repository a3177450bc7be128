/**
 * The virtual time; then of each account its name, where its newest turn ends, and the first ARGV[1] of its waiting ones
 * that name one of the models from ARGV[2] on, with scores; all of them where no models are given.
 * Keys: virtual time, accounts, the beginnings of their waiting ones and of their times.
 */
export const WAITING = `
local most, wanted = tonumber(ARGV[1]), {}
for i = 2, #ARGV do wanted[ARGV[i]] = true end
-- The ninth part of a member, see waitingTail.
local part = '^' .. string.rep('[^:]*:', 8) .. '(.+)$'
local function waiting(key)
  if #ARGV == 1 then return redis.call('ZRANGE', key, 0, most - 1, 'WITHSCORES') end
  local found, from, page = {}, 0, nil
  repeat
    page = redis.call('ZRANGE', key, from, from + most - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
      if #found < 2 * most and wanted[string.match(page[i], part) or ''] then
        found[#found + 1] = page[i]
        found[#found + 1] = page[i + 1]
      end
    end
    from = from + most
  until #page < 2 * most or #found >= 2 * most
  return found
end
local reply = {redis.call('GET', KEYS[1]) or '0'}
for _, account in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local finish = redis.call('HGET', KEYS[4] .. account, 'finish') or '0'
  reply[#reply + 1] = {account, finish, waiting(KEYS[3] .. account)}
end
return reply
`;

/**
 * Puts the first ARGV[1] jobs that BullMQ still has to hand out before all others, with those whose delay is over by the
 * time ARGV[2]. Then for each job its id, the set of its account's waiting ones, and its member there, which goes when the
 * job is no longer queued: versions that do not know these sets leave it. Answers the id of the first, or nothing.
 * Keys: BullMQ's jobs with a priority, its delayed ones, what wakes its workers, its records' beginning; queued.
 */
export const ARRANGE = `
local function waits(id)
  if redis.call('ZSCORE', KEYS[1], id) then return true end
  local due = redis.call('ZSCORE', KEYS[2], id)
  -- BullMQ counts jobs of one millisecond in the last 12 bits.
  if not due or tonumber(due) >= (tonumber(ARGV[2]) + 1) * 4096 then return false end
  redis.call('ZREM', KEYS[2], id)
  redis.call('HSET', KEYS[4] .. id, 'delay', 0)
  redis.call('ZADD', KEYS[3], 0, '0')
  return true
end
local front = {}
for i = 3, #ARGV, 3 do
  if not redis.call('ZSCORE', KEYS[5], ARGV[i]) then
    redis.call('ZREM', ARGV[i + 1], ARGV[i + 2])
  elseif #front < tonumber(ARGV[1]) and waits(ARGV[i]) then
    front[#front + 1] = ARGV[i]
  end
end
local first = tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or '0')
for i, id in ipairs(front) do redis.call('ZADD', KEYS[1], string.format('%.0f', first - 1 - #front + i), id) end
return front[1] or ''
`;

/**
 * Of each of BullMQ's queues the record of the oldest job that it would hand out by the time ARGV[2], or nothing. ARGV[1]: the
 * beginning of records' keys. Keys: queued; then of each queue its jobs with a priority, its delayed ones and all others.
 */
export const OLDEST = `
local due = string.format('(%.0f', (tonumber(ARGV[2]) + 1) * 4096)
local reply, open, left = {}, {}, 0
for i = 2, #KEYS, 3 do
  reply[(i + 1) / 3] = ''
  open[i] = redis.call('ZCARD', KEYS[i]) + redis.call('ZCOUNT', KEYS[i + 1], '-inf', due) + redis.call('LLEN', KEYS[i + 2]) > 0
  if open[i] then left = left + 1 end
end
local function waits(i, id)
  if redis.call('ZSCORE', KEYS[i], id) or redis.call('LPOS', KEYS[i + 2], id) then return true end
  local delay = redis.call('ZSCORE', KEYS[i + 1], id)
  return delay and tonumber(delay) < (tonumber(ARGV[2]) + 1) * 4096
end
local from, ids = 0, nil
repeat
  ids = redis.call('ZRANGE', KEYS[1], from, from + 99)
  for _, id in ipairs(ids) do
    for i = 2, #KEYS, 3 do
      if open[i] and waits(i, id) then
        reply[(i + 1) / 3] = redis.call('HGET', ARGV[1] .. id, 'record') or ''
        open[i] = false
        left = left - 1
      end
    end
  end
  from = from + 100
until left == 0 or #ids < 100
return reply
`;
