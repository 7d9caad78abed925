-- The simple IMIX: of twelve packets seven of 64 bytes, four of 576 and one of 1518, each a flow of its own.
package.path = package.path .. ";?.lua;pktgen-scripts/pktgen/?.lua"
local common = require("common")

local sizes = { 64, 576, 64, 64, 576, 64, 1518, 64, 576, 64, 64, 576 }

common.prepare()
for i, size in ipairs(sizes) do
    local packet = {
        ["ip_dst_addr"] = common.target,
        ["ip_src_addr"] = common.address_plus(common.source, i) .. "/8",
        ["sport"] = 1024 + i,
        ["dport"] = common.target_port,
        ["ethType"] = "ipv4",
        ["ipProto"] = "udp",
        ["vlanid"] = 1,
        ["pktSize"] = size,
    }
    if common.target_mac then
        packet["eth_dst_addr"] = common.target_mac
    end
    pktgen.seqTable(i - 1, common.port, packet)
end
pktgen.set(common.port, "seq_cnt", #sizes)
common.run("imix")
