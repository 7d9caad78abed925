-- Connection requests from ever other clients. They come from a capture, as flags cannot be set per packet otherwise: `run`
-- writes it and gives it to Pktgen with "-s".
package.path = package.path .. ";?.lua;pktgen-scripts/pktgen/?.lua"
local common = require("common")

common.prepare()
pktgen.pcap(common.port, "on")
common.run("syn_flood")
