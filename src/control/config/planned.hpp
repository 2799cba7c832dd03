#pragma once
// What the file says, beside `rtsp`, of the tracks that a camera brings: where they go, and what they get. An entry is
// for the camera's next medium of its kind: the first video entry for the first video of the description, the second
// for the second. Pure.
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"

namespace penstock::config {

struct Planned {
    std::vector<Track> tracks;       // the camera's, each as its entry wants it
    std::vector<std::string> unmet;  // entries that do nothing: which, and why
};
// `stream` has the entries, `brought` are the tracks that the camera has. An entry that says another payload type or
// encoding, or whose outputs do not go with the track, leaves it as it is: receivers with fixed settings could not make
// anything of it.
Planned planned(const Stream& stream, const std::vector<Track>& brought);

// The entries, and for each track of the camera, and the one called `name`, that has none another that says nothing;
// for operators to edit. trimmed() leaves out those that say nothing still.
Stream with_entries(Stream stream, const std::vector<Track>& brought);
Stream with_entry(Stream stream, std::string_view name);
Stream trimmed(Stream stream);

}  // namespace penstock::config
