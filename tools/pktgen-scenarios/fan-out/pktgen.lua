-- Fan-out 1 -> 100: every packet comes back a hundred times.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").once()
