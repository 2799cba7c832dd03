#pragma once
// A repair packet as encoder and decoder see it: which packets it is the sum of, and what it tells of their headers.
// Each scheme writes that in its own way: st2022.hpp, flexfec.hpp, ulpfec.hpp.
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "base/wire.hpp"
#include "rtp/fec/matrix.hpp"

namespace penstock::rtp::fec {

enum class Scheme : uint8_t {
    st2022_1,  // SMPTE ST 2022-1
    flexfec,   // RFC 8627
    ulpfec     // RFC 5109, level 0
};

// How repair travels beside the media.
struct Carriage {
    Scheme scheme = Scheme::st2022_1;
    uint8_t payload_type = 96;  // of repair; ST 2022-1 goes by the port, whatever the type
    // ULPFEC on the port of the media, as WebRTC and GStreamer have it: with the media's SSRC, and so sequence numbers
    // from among the media's. Such media are numbered anew where repair is added, and again where it is removed.
    bool among_media = false;
    bool operator==(const Carriage&) const = default;
};

// What an encoder makes.
struct Code {
    Carriage carriage;
    Matrix matrix;
    bool mask = false;  // FlexFEC: with a flexible mask (F=0) instead of columns and rows (F=1)
    bool operator==(const Code&) const = default;
};

inline constexpr size_t kMediaHeader = 12;  // RTP, fixed

// The fields of media packets that a repair packet carries the sum of, beside the sum of their bodies: everything
// after the fixed 12 bytes of the RTP header.
struct FieldSum {
    uint16_t flags = 0;   // P, X, CC, M and payload type where they lie in the first two bytes
    uint16_t length = 0;  // bytes of body
    uint32_t timestamp = 0;
    bool operator==(const FieldSum&) const = default;

    inline static FieldSum of(std::span<const std::byte> packet) noexcept;  // of one packet of at least 12 bytes
    void add(const FieldSum& other) noexcept {
        flags ^= other.flags;
        length ^= other.length;
        timestamp ^= other.timestamp;
    }
};
inline constexpr uint16_t kVersion = 0x8000;      // of RTP, in the first two bytes
inline constexpr uint16_t kSummedFlags = 0x3fff;  // all but the version
inline constexpr uint16_t kPayloadTypeBits = 0x7f;

FieldSum FieldSum::of(std::span<const std::byte> packet) noexcept {
    return {static_cast<uint16_t>(wire::load16(packet.data()) & kSummedFlags),
            static_cast<uint16_t>(packet.size() - kMediaHeader), wire::load32(&packet[4])};
}

// The first 12 bytes of the packet whose fields these are. Its number and SSRC are known from elsewhere.
void write_media_header(std::byte* to, const FieldSum& fields, uint16_t sequence, uint32_t ssrc) noexcept;

// Up to 110 packets, counted from the first.
struct Mask {
    static constexpr unsigned kMost = 110;  // of FlexFEC; ULPFEC has 48
    std::array<uint64_t, 2> words{};
    bool operator==(const Mask&) const = default;

    void set(unsigned i) noexcept { words[i / 64] |= uint64_t{1} << i % 64; }
    bool has(unsigned i) const noexcept { return (words[i / 64] >> i % 64 & 1) != 0; }
    bool empty() const noexcept { return (words[0] | words[1]) == 0; }
    unsigned first() const noexcept;  // not of an empty one
    unsigned last() const noexcept;
};

// The numbers base, base + offset, ... (count of them); of these, those in the mask where there is one.
struct Members {
    uint16_t base = 0;
    uint8_t offset = 1;
    uint8_t count = 1;
    std::optional<Mask> mask{};
    bool operator==(const Members&) const = default;

    static std::optional<Members> of(uint16_t base, const Mask& mask) noexcept;  // none: an empty mask
    uint32_t reach() const noexcept { return (count - 1u) * offset; }            // from the first packet to the last
    bool includes(unsigned i) const noexcept { return !mask || mask->has(i); }
    bool single() const noexcept { return count == 1; }
    std::optional<Mask> as_mask(unsigned most) const noexcept;  // none: it reaches beyond `most` packets
};

struct RepairHeader {
    Line line = Line::column;
    Members members{};
    FieldSum fields{};
    bool columns_follow = false;  // of a row of FlexFEC: there are columns, too
    bool operator==(const RepairHeader&) const = default;
};

struct RepairPacket {
    RepairHeader header;
    std::span<const std::byte> body;  // the sum of the media's bodies
    std::optional<uint32_t> ssrc;     // of the media, where it is told
};

enum class BadRepair : uint8_t {
    runt,          // shorter than its headers
    version,       // not RTP version 2, or not valid RTP where it has to be
    payload_type,  // not the one of repair
    scheme,        // not of this scheme, or a form of it that is reserved
    several,       // FlexFEC over packets of several sources: more than one of which would be needed here
    empty          // sum of no packet
};

// Of a whole UDP payload.
std::expected<RepairPacket, BadRepair> parse_repair(const Carriage& carriage,
                                                    std::span<const std::byte> packet) noexcept;

// The headers of a repair packet, RTP's included.
struct Head {
    static constexpr size_t kMost = 12 + 4 + 24;  // FlexFEC with the longest mask
    std::array<std::byte, kMost> bytes{};
    uint8_t size = 0;
    std::span<const std::byte> span() const noexcept { return std::span{bytes}.first(size); }
};

// What is not from the media's packets.
struct Own {
    uint16_t sequence = 0;
    uint32_t timestamp = 0;  // the moment of sending by the media's clock
    uint32_t media_ssrc = 0;
    uint16_t body_size = 0;
};

// False: the scheme cannot say this set of packets.
bool write_repair(const Code& code, const RepairHeader& header, const Own& own, Head& to) noexcept;

}  // namespace penstock::rtp::fec
