-- The highest rate without a loss, as in RFC 2544 section 26.1: halving the interval until it is narrower than a step.
package.path = package.path .. ";?.lua;pktgen-scripts/pktgen/?.lua"
local common = require("common")

local step = 0.5 -- percent of the link
local low, high = 0, common.rate
local rate = high -- all of it first
local best_sent, best_received = 0, 0

common.prepare()
while high - low > step do
    pktgen.set(common.port, "rate", rate)
    pktgen.delay(100)
    local sent, received = common.send(common.seconds)
    common.print("rate %.2f%%: sent %d, lost %d\n", rate, sent, sent - received)
    if sent > 0 and received >= sent then
        low, best_sent, best_received = rate, sent, received
        if rate >= common.rate then
            break
        end
    else
        high = rate
    end
    rate = (low + high) / 2
end
common.print("no drop at %.2f%% of the link\n", low)
common.report("rate_sweep", best_sent, best_received, common.seconds)
pktgen.quit()
