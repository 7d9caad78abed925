-- One UDP flow as fast as it goes.
package.path = package.path .. ";?.lua;pktgen-scripts/pktgen/?.lua"
local common = require("common")

common.prepare()
common.run("single_flow")
