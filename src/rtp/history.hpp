#pragma once
// The last packets of one track, as copies, so that no receive buffer waits for them: what a viewer that comes late is
// given from the newest key frame on, and any packet by its number. Bounded in packets and bytes; all memory is taken
// when it is made. Written and read by the one worker that owns the track; the counters are read by control.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "rtp/numbering.hpp"
#include "rtp/picture.hpp"

namespace penstock::rtp {

struct HistoryCounters {
    Counter key_frames;  // that began
    Counter overruns;    // of which the beginning was overwritten before the next one came
    Counter restarts;    // of the source: nothing from before is used any more
};

class History {
public:
    // `bytes`: at least kLeast. Packets are expected to have 512 bytes or more; with smaller ones the number of packets
    // is what bounds it.
    History(Codec codec, size_t bytes);

    // A valid RTP packet as it leaves. Its number, also when it came twice; none for a stray, which is not kept. Once
    // the source has restarted numbers begin anew, under another life().
    std::optional<uint64_t> keep(std::span<const std::byte> packet) noexcept;

    // Where a decoder can begin, with all that came since: none while there was no key frame, or when it is too long
    // ago for all of it to be here.
    std::optional<uint64_t> beginning() const noexcept {
        if (!has_begin_ || !kept(begin_)) return {};
        return begin_;
    }
    // What is here is good for who has begun with it, and for nobody else.
    void forget_beginning() noexcept;
    uint64_t end() const noexcept { return numbering_.newest() + 1; }  // no packet has this number yet
    uint32_t life() const noexcept { return life_; }

    // Empty: it never came, or was overwritten.
    std::span<const std::byte> packet(uint64_t number) const noexcept {
        if (!kept(number)) return {};
        const Entry& e = entry(number);
        return std::span{bytes_}.subspan(e.at % bytes_.size(), e.size);
    }
    // Whether it was there once, or may have been.
    bool overwritten(uint64_t number) const noexcept {
        const Entry& e = entry(number);
        return e.at >= born_ && e.number >= number && !kept(number);
    }

    const HistoryCounters& counters() const noexcept { return counters_; }
    size_t memory() const noexcept { return bytes_.size() + entries_.size() * sizeof(Entry); }

    static constexpr size_t kLargest = 2048;  // bytes of a packet; a larger one is not kept
    static constexpr size_t kLeast = size_t{64} << 10;

private:
    static constexpr size_t kUsual = 512;  // bytes of a packet, at least
    static constexpr size_t kLine = 64;    // packets begin at a cache line
    static constexpr uint32_t kBehind = 1024;

    struct Entry {
        uint64_t number = 0;  // 0: none yet
        uint64_t at = 0;      // byte of all that were ever written; modulo the memory: where it lies
        uint32_t size = 0;
    };

    Entry& entry(uint64_t number) noexcept { return entries_[number & (entries_.size() - 1)]; }
    const Entry& entry(uint64_t number) const noexcept { return entries_[number & (entries_.size() - 1)]; }
    bool kept(uint64_t number) const noexcept {
        const Entry& e = entry(number);
        return e.number == number && e.at >= born_ && written_ - e.at <= bytes_.size();
    }
    void restart() noexcept;

    const Codec codec_;
    Numbering numbering_{kBehind};
    KeyFrames key_frames_;
    uint64_t written_ = 0, born_ = 0;  // born: written when this life of the source began
    uint64_t begin_ = 0;
    uint32_t life_ = 0;
    bool has_begin_ = false;
    std::vector<Entry> entries_;  // by number, modulo a power of two
    std::vector<std::byte> bytes_;
    HistoryCounters counters_;
};

}  // namespace penstock::rtp
