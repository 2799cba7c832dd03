-- IMIX among garbage: the file has both; what is media comes back.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").once()
