-- Overload: the peak is looked for in steps, then twice as much is sent. The file is sent again and again.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").overload({ 1, 4, 16, 64 }, 2, 4)
