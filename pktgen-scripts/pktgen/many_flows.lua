-- UDP flows in turn: addresses first, then ports.
package.path = package.path .. ";?.lua;pktgen-scripts/pktgen/?.lua"
local common = require("common")

local addresses = math.min(common.flows, 65536)
local ports = math.max(1, common.flows // addresses)
local port = common.port

local function range(set, first, step, last)
    set(port, "start", first)
    set(port, "inc", step)
    set(port, "min", first)
    set(port, "max", last)
end

common.prepare()
range(pktgen.range.src_ip, common.source, "0.0.0.1", common.address_plus(common.source, addresses - 1))
range(pktgen.range.dst_ip, common.target, "0.0.0.0", common.target)
range(pktgen.range.src_port, 1024, ports > 1 and 1 or 0, 1024 + ports - 1)
range(pktgen.range.dst_port, common.target_port, 0, common.target_port)
range(pktgen.range.pkt_size, common.size, 0, common.size)
if common.target_mac then
    pktgen.range.dst_mac(port, "start", common.target_mac)
end
pktgen.set_range(port, "on")
common.run("many_flows")
