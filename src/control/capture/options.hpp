#pragma once
// What an operator asks of a capture: `capture stream NAME` and `capture drops` take these words. Pure.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace penstock::capture {

inline constexpr uint64_t kMaxCount = 1'000'000'000;
inline constexpr uint32_t kMaxRate = 1'000'000;

struct Options {
    std::string file;        // absolute; empty: default_file()
    uint64_t count = 1000;   // packets
    uint32_t rate = 10'000;  // packets a second and worker that are copied at most
    std::string path;        // one of these three at most; none: all paths
    std::string leg;
    bool drops = false;
};

// "file /tmp/x.pcapng count 1000 path 1", in any order.
Result<Options> parse_options(std::string_view words);

// /var/tmp/penstock-camera-1-20261125T101112Z.pcapng. `subject` is a stream's name, or "drops".
std::string default_file(std::string_view subject, int64_t unix_seconds);

}  // namespace penstock::capture
