-- Two hundred calls of small packets: every one comes back.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").once()
