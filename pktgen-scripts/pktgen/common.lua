-- What the scripts beside this one share. `run` says in the environment what to send where; numbers of ports are Pktgen's.

local common = {}

local function setting(name, fallback)
    local value = os.getenv("WEIR_" .. name)
    if value == nil or value == "" then
        return fallback
    end
    return value
end

common.port = setting("PORT", "0")
common.seconds = tonumber(setting("SECONDS", "10"))
common.target = setting("TARGET", "10.0.1.1")
common.target_port = tonumber(setting("TARGET_PORT", "80"))
common.target_mac = setting("TARGET_MAC", nil)
common.source = setting("SOURCE", "11.0.0.1")
common.size = tonumber(setting("SIZE", "64"))
common.rate = tonumber(setting("RATE", "100")) -- percent of the link
common.flows = tonumber(setting("FLOWS", "65536"))

-- The address `count` behind this one.
function common.address_plus(address, count)
    local a, b, c, d = address:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
    local number = ((tonumber(a) * 256 + tonumber(b)) * 256 + tonumber(c)) * 256 + tonumber(d) + count
    return string.format("%d.%d.%d.%d", number // 16777216 % 256, number // 65536 % 256, number // 256 % 256,
        number % 256)
end

-- One UDP flow to the target, as a start for all scripts.
function common.prepare()
    pktgen.screen("off")
    pktgen.stop(common.port)
    pktgen.clr()
    pktgen.set(common.port, "count", 0)
    pktgen.set(common.port, "rate", common.rate)
    pktgen.set(common.port, "size", common.size)
    pktgen.set(common.port, "sport", 1024)
    pktgen.set(common.port, "dport", common.target_port)
    pktgen.set_proto(common.port, "udp")
    pktgen.set_type(common.port, "ipv4")
    pktgen.set_ipaddr(common.port, "src", common.source .. "/8")
    pktgen.set_ipaddr(common.port, "dst", common.target)
    if common.target_mac then
        pktgen.set_mac(common.port, "dst", common.target_mac)
    end
    pktgen.delay(100)
end

-- Packets that were sent and have come back so far.
function common.counts()
    local stats = pktgen.portStats(common.port, "port")[tonumber(common.port)]
    return stats.opackets, stats.ipackets
end

-- Sends for so many seconds. Returns what was sent and what came back meanwhile, the tail included.
function common.send(seconds)
    local sent, received = common.counts()
    pktgen.start(common.port)
    pktgen.delay(math.floor(seconds * 1000))
    pktgen.stop(common.port)
    pktgen.delay(500)
    local sent_after, received_after = common.counts()
    return sent_after - sent, received_after - received
end

-- Pktgen's own printf() comes with a file of its, which may not be installed.
function common.print(...)
    io.write(string.format(...))
    io.flush()
end

-- The line that `run` reads.
function common.report(name, sent, received, seconds)
    common.print("RESULT %s sent %d received %d seconds %.3f Mpps_sent %.3f Mpps_received %.3f\n", name, sent, received,
        seconds, sent / seconds / 1e6, received / seconds / 1e6)
end

function common.run(name)
    local sent, received = common.send(common.seconds)
    common.report(name, sent, received, common.seconds)
    pktgen.quit()
end

return common
