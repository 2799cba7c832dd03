-- What the scenarios' scripts for Pktgen-DPDK have in common. Port 0 sends the packets of a pcap file (pktgen's -s), port 1
-- counts what comes back. `run` sets the environment; README.md tells how to set it by hand:
--   PENSTOCK_PACKETS  how many packets the file has
--   PENSTOCK_PPS      packets a second of the plan
--   PENSTOCK_FRAME    their mean length in bytes, without FCS
--   PENSTOCK_REPORT   where to write what was counted, as JSON
local play = {}

local TX, RX = "0", "1"
local FCS_AND_GAP = 24 -- bytes that a frame takes on the wire beside its own
local STATISTICS_MS = 2200 -- pktgen looks at its ports once a second

local function from_environment(name)
    return assert(tonumber(os.getenv(name)), name .. " is not set: see tools/pktgen-scenarios/README.md")
end

local packets = from_environment("PENSTOCK_PACKETS")
local plan_pps = from_environment("PENSTOCK_PPS")
local frame = from_environment("PENSTOCK_FRAME")

-- "<UP-10000-FD>": pktgen takes rates as a share of the link's.
local function link_bits()
    local state = pktgen.linkState(TX)
    local megabits = tostring(state[tonumber(TX)] or ""):match("(%d%d+)")
    return (tonumber(megabits) or 10000) * 1e6
end

local function counted()
    local all = pktgen.portStats("all", "port")
    return { sent = all[tonumber(TX)].opackets, received = all[tonumber(RX)].ipackets }
end

local function wait_until_sent(limit_ms)
    for _ = 1, limit_ms, 50 do
        if pktgen.isSending(TX)[tonumber(TX)] == "n" then return end
        pktgen.delay(50)
    end
    pktgen.stop(TX)
end

-- What is counted when nothing comes any more.
local function settled()
    local last, now
    repeat
        last = now
        pktgen.delay(STATISTICS_MS)
        now = counted()
    until last and last.received == now.received
    return now
end

-- Sends `count` packets at `pps`; what was sent and came back of them, and at which rates.
function play.burst(count, pps)
    pktgen.set(TX, "rate", string.format("%.6f", math.min(100, pps * (frame + FCS_AND_GAP) * 8 / link_bits() * 100)))
    pktgen.set(TX, "count", math.floor(count))
    pktgen.set(TX, "burst", pps < 20000 and 1 or 32) -- slow streams are paced, fast ones come as NICs bring them
    local before = settled()
    pktgen.start(TX)
    wait_until_sent(count / pps * 1000 * 4 + 5000)
    local after = settled()
    local sent, received = after.sent - before.sent, after.received - before.received
    return { sent = sent, received = received, copies = sent > 0 and received / sent or 0 }
end

function play.report(found)
    local file = assert(io.open(assert(os.getenv("PENSTOCK_REPORT"), "PENSTOCK_REPORT is not set"), "w"))
    local words = {}
    for name, value in pairs(found) do words[#words + 1] = string.format('"%s": %.9g', name, value) end
    file:write("{" .. table.concat(words, ", ") .. "}\n")
    file:close()
    pktgen.quit()
end

-- The file once, at the plan's rate.
function play.once()
    play.report(play.burst(packets, plan_pps))
end

-- Looks for the peak: each of `steps` times the plan's rate for a second, until more than a tenth is lost. Then `times` what
-- came through at the peak, for as long as the file lasts at the plan's rate.
function play.overload(steps, times, copies)
    local peak, full = 0, plan_pps
    for _, step in ipairs(steps) do
        local pps = plan_pps * step
        local found = play.burst(pps, pps)
        if found.received > peak then
            peak, full = found.received, found.received / copies
        end
        if found.copies < 0.9 * copies then break end
    end
    local seconds = packets / plan_pps
    local found = play.burst(full * times * seconds, full * times)
    found.of_peak = found.received / seconds / peak
    play.report(found)
end

return play
