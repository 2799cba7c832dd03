-- Ten thousand streams: the file holds a packet a second of each; every one comes back.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").once()
