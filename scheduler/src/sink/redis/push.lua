-- Pushes those jobs of a chunk that were not pushed yet, and notes that they were.
--
-- KEYS: the chunk's progress; the set of queues; the queue, or the set of scheduled jobs.
-- ARGV: the fence; how many seconds progress is kept; the queue's name; when jobs are due, or '';
--       then a position and a job for each.
-- Returns how many were pushed, or -1 when the chunk belongs to a higher fence.
--
-- A script is not undone when it fails half-way, so what can fail comes first: GET, SADD and LPUSH
-- on a key of another type. Only when jobs are there is it noted, by a SET, which cannot fail then:
-- memory is asked for before a script that writes begins.
local stored = redis.call('GET', KEYS[1]) or '0:'
local colon = string.find(stored, ':', 1, true)
if tonumber(string.sub(stored, 1, colon - 1)) > tonumber(ARGV[1]) then
    return -1
end
local bits = { string.byte(stored, colon + 1, -1) }
local jobs = {}
for i = 5, #ARGV, 2 do
    local position = tonumber(ARGV[i])
    local at, mask = math.floor(position / 8) + 1, 2 ^ (position % 8)
    while #bits < at do
        bits[#bits + 1] = 0
    end
    if bit.band(bits[at], mask) == 0 then
        bits[at] = bits[at] + mask
        if ARGV[4] ~= '' then
            jobs[#jobs + 1] = ARGV[4]
        end
        jobs[#jobs + 1] = ARGV[i + 1]
    end
end
local pushed = #jobs
if pushed > 0 then
    if ARGV[4] ~= '' then
        redis.call('ZADD', KEYS[3], unpack(jobs))
        pushed = pushed / 2
    else
        redis.call('SADD', KEYS[2], ARGV[3])
        redis.call('LPUSH', KEYS[3], unpack(jobs))
    end
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. string.char(unpack(bits)), 'EX', ARGV[2])
return pushed
