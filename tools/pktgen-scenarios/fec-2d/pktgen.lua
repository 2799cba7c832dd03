-- 2-D FEC: pktgen sends the media and sees it come back with its repair, two packets of it for five of media. It can not be the
-- network that loses some: for what is mended there is penstock-gen.
package.path = os.getenv("PENSTOCK_SCENARIOS") .. "/?.lua;" .. package.path
require("play").once()
