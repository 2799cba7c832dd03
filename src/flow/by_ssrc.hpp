#pragma once
// Two sources of a track that send to one address, so that nothing but the SSRC of a packet tells whose it is
// (RFC 7198: an original and its duplicate). Each has flows of its own, to its own path; what the table finds is one
// that stands for both. Immutable once it is in a table; only the worker that owns the track asks it.
#include <array>
#include <cstdint>
#include <optional>

#include "flow/path.hpp"
#include "flow/state.hpp"

namespace penstock::flow {

struct Flow;

struct BySsrc {
    std::array<const Flow*, 2> flows{};  // by path: of RTP, or of RTCP
    std::array<const PathState*, 2> paths{};
    const MergeState* merge = nullptr;
    std::array<uint32_t, 2> ssrcs{};  // as configured; 0: whatever is not of the other path

    // By which path a packet of this SSRC came; none: by neither.
    std::optional<unsigned> path_of(uint32_t ssrc) const noexcept {
        if (ssrcs[0] != 0 && ssrcs[0] == ssrc) return 0;
        if (ssrcs[1] != 0 && ssrcs[1] == ssrc) return 1;
        if (ssrcs[0] != 0) return ssrcs[1] != 0 ? std::nullopt : std::optional(1u);
        if (ssrcs[1] != 0) return 0;
        return learned(ssrc);
    }

private:
    // As the paths are followed, which a stray packet does not change; else as they brought it last. One that is new
    // comes in place of that which has been silent for longer, or never came.
    unsigned learned(uint32_t ssrc) const noexcept {
        const bool first = merge->ssrc(0) == ssrc, second = merge->ssrc(1) == ssrc;
        if (first != second) return second ? 1 : 0;
        for (unsigned path = 0; path < 2; path++)
            if (last(path) != 0 && paths[path]->reception.ssrc() == ssrc) return path;
        return last(1) < last(0) ? 1 : 0;
    }
    uint64_t last(unsigned path) const noexcept { return paths[path]->reception.counters().last_arrival.read(); }
};

}  // namespace penstock::flow
