#pragma once
// Recovers the media packets of one track from repair packets, by whatever schemes and matrices they come: only their
// headers are believed. Written by the one worker that owns the track; the counters are read by control.
//
// The last packets are kept as copies, so that no receive buffer waits for repair. A repair packet is an equation over
// numbers; one with a single unknown gives that packet, which may be what another equation waited for: recover() until
// it has no more is the fixed point of rows and columns.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "base/wire.hpp"
#include "rtp/fec/repair.hpp"
#include "rtp/fec/slots.hpp"
#include "rtp/fec/xor.hpp"
#include "rtp/numbering.hpp"
#include "rtp/renumbering.hpp"

namespace penstock::rtp::fec {

struct DecoderCounters {
    Counter recovered;
    Counter unrecovered;                 // left the window without having arrived or been recovered
    std::array<Counter, kLines> repair;  // that came
    Counter unneeded;                    // repair packets whose media were all there
    Counter
        useless;  // repair packets that came twice, too early or too late, or that more was lost of than they repair
    Counter refused;   // repair packets that are malformed, or contradict the media
    Counter restarts;  // of the source: nothing from before is used any more
};

class Decoder {
public:
    // Packets that are remembered. The columns of a matrix of L x D may come until the end of the next one: 2 x L x D,
    // at most 200, and as much again for what is reordered.
    static constexpr uint32_t kWindow = 512;

    // `largest`: bytes of an RTP packet. `payload_type`: of all media packets; absent: any. `window`: a power of two
    // from 64 to 16384.
    explicit Decoder(size_t largest, std::optional<uint8_t> payload_type = {}, uint32_t window = kWindow);

    // `packet` is valid RTP. False: it is known already, recovered or received.
    bool media(std::span<const std::byte> packet) noexcept;
    // Some packets before media(): where the packet will be kept.
    void fetch(std::span<const std::byte> packet) const noexcept;
    // `packet` is any UDP payload that came as repair; among the media, it is valid RTP.
    void repair(const Carriage& carriage, std::span<const std::byte> packet) noexcept;
    // The next packet that can be recovered, valid until the next call; call until there is none.
    std::optional<std::span<const std::byte>> recover() noexcept {
        if (ready_ == 0) [[likely]]
            return {};
        return solve();
    }

    // Whether repair came among the media: what goes on is to be numbered as if there had been none.
    bool renumbers() const noexcept { return renumbers_; }
    uint16_t renumbered(uint16_t sequence) const noexcept { return renumbering_.of(numbering_.nearest(sequence)); }
    // A recovered packet with its new number, valid as long as that.
    std::span<const std::byte> renumbered(std::span<const std::byte> packet) noexcept;

    const DecoderCounters& counters() const noexcept { return counters_; }

private:
    static constexpr unsigned kEquations = 64;                    // a bit each in a word; the oldest gives way
    static constexpr size_t kLead = Slots::kLine - kMediaHeader;  // so that bodies begin at a cache line
    static constexpr uint32_t kBehind = 1024;
    static constexpr size_t kRemembered = 256;  // repair packets among the media
    // Of a recovered packet's timestamp from its neighbour's: 46 s at 90 kHz. Sums over packets of two lives of a
    // source give any timestamp.
    static constexpr uint32_t kMaxTimestampStep = 1u << 22;

    struct Equation {
        uint64_t first = 0;
        RepairHeader header;
        uint32_t unknown = 0;      // members that are not there
        uint64_t unknown_sum = 0;  // of their numbers: of a single one, the number
        uint32_t size = 0;         // bytes of body
        const Members& members() const noexcept { return header.members; }
        uint64_t last() const noexcept { return first + members().reach(); }
        bool has(uint64_t number) const noexcept {
            return number >= first && number <= last() && (number - first) % members().offset == 0 &&
                   members().includes(static_cast<unsigned>((number - first) / members().offset));
        }
        template <class F>
        void each(F f) const noexcept {
            uint64_t n = first;
            for (unsigned i = 0; i < members().count; i++, n += members().offset)
                if (members().includes(i)) f(n);
        }
    };

    std::optional<std::span<const std::byte>> solve() noexcept;
    std::optional<std::span<const std::byte>> solve(unsigned equation) noexcept;
    std::optional<uint64_t> place(std::span<const std::byte> packet, bool& known_already) noexcept;
    void occupy(std::span<const std::byte> packet) noexcept;
    void restart(uint64_t newest_before) noexcept;
    void advance(uint64_t to) noexcept;
    std::span<const std::byte> keep(uint64_t number, std::span<const std::byte> packet) noexcept;
    void known(uint64_t number) noexcept;
    unsigned place_for_equation() noexcept;
    void forget(unsigned equation) noexcept;
    bool alive(const Equation& equation) const noexcept { return equation.first + window_ > numbering_.newest(); }

    std::span<const std::byte> kept(uint64_t number) const noexcept {
        return {packets_[number % window_] + kLead, sizes_[number % window_]};
    }
    uint32_t timestamp(uint64_t number) const noexcept { return wire::load32(packets_[number % window_] + kLead + 4); }
    static bool near(uint32_t a, uint32_t b) noexcept { return a - b + kMaxTimestampStep <= 2 * kMaxTimestampStep; }
    bool of_former_life(uint32_t timestamp) const noexcept;
    bool within(uint64_t number) const noexcept {
        return number <= numbering_.newest() && number + window_ > numbering_.newest();
    }
    bool there(uint64_t number) const noexcept { return within(number) && bit(number); }
    bool bit(uint64_t n) const noexcept { return (there_[n / 64 % there_.size()] >> n % 64 & 1) != 0; }
    void set(uint64_t n) noexcept { there_[n / 64 % there_.size()] |= uint64_t{1} << n % 64; }
    void clear(uint64_t n) noexcept { there_[n / 64 % there_.size()] &= ~(uint64_t{1} << n % 64); }

    const std::optional<uint8_t> payload_type_;
    const uint32_t window_;
    const size_t largest_;
    const Xor& xor_;
    Numbering numbering_{kBehind};
    uint64_t start_ = 0;           // number of the first packet
    bool restarted_ = false;       // which is not the first of all
    std::vector<uint64_t> there_;  // a bit a number, modulo the window
    std::vector<uint16_t> sizes_;  // bytes of packet, by number modulo the window
    Slots packets_;                // each kLead bytes into its slot

    // Equations: all; those with one unknown; of these, those whose unknown is newer than any packet, and so not known
    // to be lost: repair that comes by another queue may overtake the media.
    uint64_t pending_ = 0, ready_ = 0, early_ = 0;
    uint64_t last_pending_ = 0;  // no pending equation has a later number
    std::array<Equation, kEquations> equations_{};
    Slots
        sums_;  // their packets to be, each kLead bytes into its slot: bodies, and headers in the end; one to renumber
    Renumbering renumbering_;
    bool renumbers_ = false;
    DecoderCounters counters_;
};

}  // namespace penstock::rtp::fec
