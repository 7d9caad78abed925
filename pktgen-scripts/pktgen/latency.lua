-- The way there and back, measured with time stamps in the packets, at a rate (WEIR_RATE) that loses none.
package.path = package.path .. ";?.lua;pktgen-scripts/pktgen/?.lua"
local common = require("common")

common.prepare()
pktgen.latency(common.port, "enable")
local sent, received = common.send(common.seconds)
local latency = pktgen.pktStats(common.port)[tonumber(common.port)].latency
for _, name in ipairs({ "num_pkts", "min_us", "avg_us", "max_us", "jitter_us" }) do
    if latency[name] ~= nil then
        common.print("latency %s %s\n", name, tostring(latency[name]))
    end
end
pktgen.latency(common.port, "disable")
common.report("latency", sent, received, common.seconds)
pktgen.quit()
