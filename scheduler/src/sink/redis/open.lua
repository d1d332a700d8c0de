-- Takes a chunk: from now on no lower fence pushes anything of it.
--
-- KEYS: the chunk's progress. ARGV: the fence; how many seconds progress is kept.
-- Returns the bits of what was pushed, or nothing when the chunk belongs to a higher fence.
local stored = redis.call('GET', KEYS[1]) or '0:'
local colon = string.find(stored, ':', 1, true)
if tonumber(string.sub(stored, 1, colon - 1)) > tonumber(ARGV[1]) then
    return false
end
local bits = string.sub(stored, colon + 1, -1)
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. bits, 'EX', ARGV[2])
return bits
