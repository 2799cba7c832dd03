#pragma once
// Two versions of a stream side by side: which track is which, and what differs, in words. Pure.
#include <optional>
#include <string>
#include <vector>

#include "control/config/config.hpp"

namespace penstock::config {

// A source or output on one line, with what may tell it from others of the same address: 10.0.1.20:6000?port=wan&vlan=5
std::string text(const Source& source);
std::string text(const Output& output);

// What its tracks are called: the kind of media, and from the second one of a kind on its number: video, video-2.
std::vector<std::string> track_names(const Stream& stream);

// Of each track of `now`, which one of `before` it was: the same one, else one with a source of it, else one of its
// name.
std::vector<std::optional<size_t>> counterparts(const Stream& before, const Stream& now);

// "output 10.0.1.21:6000 added", and with several tracks "audio: output ... added". Empty when nothing differs.
std::vector<std::string> differences(const Stream& before, const Stream& now);

}  // namespace penstock::config
