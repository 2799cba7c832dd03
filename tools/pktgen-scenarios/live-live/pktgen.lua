-- Live-live with skew: the file has both paths as they arrive, lossy and apart; each packet comes back once.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").once()
