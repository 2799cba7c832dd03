-- Relay 1 -> 1: every packet comes back once.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").once()
