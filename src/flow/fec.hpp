#pragma once
// Forward error correction of one track: what repairs it on arrival, and what is sent to repair it further on.
// Immutable once it is in a table, but for encoders and decoder: the one worker that owns the track uses them, control
// reads their counters.
#include <memory>
#include <vector>

#include "flow/held.hpp"
#include "flow/leg.hpp"
#include "flow/state.hpp"
#include "rtp/fec/decoder.hpp"
#include "rtp/fec/encoder.hpp"

namespace penstock::flow {

// Repair for all receivers that want it by the same code: computed once, and renditions of its own. Their legs are few,
// one for each of these receivers, and the track's owner serves them all. With one shard each.
struct RepairRenditions {
    rtp::fec::Encoder* encoder = nullptr;  // never null
    OwnRendition repair;
    OwnRendition rows;  // ST 2022-1, which has a port for rows: then the other is of columns
    // Where the encoder renumbers: these receivers are in no other rendition of the media, nor get its RTCP with
    // others, since repair has the media's SSRC and counts with it.
    OwnRendition media;
    Sent* sent = nullptr;
    const Rendition& of(rtp::fec::Line line) const noexcept {
        return line == rtp::fec::Line::row && !rows.legs.empty() ? rows : repair;
    }
};

struct Fec {
    static constexpr size_t kMaxRenditions = 8;  // different codes of one track

    rtp::fec::Decoder* decoder = nullptr;  // null: no path of the track brings repair
    bool renumbers = false;                // one of the encoders does
    std::vector<RepairRenditions> repairs;
    Held held;
};

}  // namespace penstock::flow
