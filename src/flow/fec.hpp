#pragma once
// Forward error correction of one track: what repairs it on arrival, and what is sent to repair it further on.
// Immutable once it is in a table, but for encoders and decoder: the one worker that owns the track uses them, control
// reads their counters.
#include <memory>
#include <vector>

#include "flow/leg.hpp"
#include "rtp/fec/decoder.hpp"
#include "rtp/fec/encoder.hpp"

namespace penstock::flow {

// Repair for all receivers that want it of the same matrix: computed once, and two renditions of its own. Their legs
// are few, one for each of these receivers, and the track's owner serves them all.
struct RepairRenditions {
    rtp::fec::Encoder* encoder = nullptr;  // never null
    Rendition columns, rows;               // with one shard each
    const Rendition& of(rtp::fec::Line line) const noexcept { return line == rtp::fec::Line::row ? rows : columns; }
};

struct Fec {
    static constexpr size_t kMaxRenditions = 8;  // different matrices of one track

    rtp::fec::Decoder* decoder = nullptr;  // null: no path of the track brings repair
    std::vector<RepairRenditions> repairs;
    std::vector<std::shared_ptr<void>> states;  // keeps encoders and decoder alive
};

}  // namespace penstock::flow
