#pragma once
// Parts of what text.hpp renders: whatever keeps a lost packet from being missed.
#include <string>

#include "control/metrics/text.hpp"

namespace penstock::metrics {

void live_live(std::string& out, const View& view);  // of tracks with two paths
void tracks(std::string& out, const View& view);     // what was made good, by which means
void feedback(std::string& out, const View& view);   // what receivers say, and are answered
void delays(std::string& out, const View& view);     // what waits for packets before it

}  // namespace penstock::metrics
