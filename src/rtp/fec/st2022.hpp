#pragma once
// SMPTE ST 2022-1: which packets a repair packet is the sum of, and how it says so. Media go to port P, the sums of
// columns to P + 2, the sums of rows to P + 4.
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

namespace penstock::rtp::fec {

inline constexpr uint16_t kColumnPort = 2, kRowPort = 4;  // beyond the port of the media

// Media packets, written row by row. What the standard allows: 1 to 20 columns (4 to 20 with row repair), 4 to 20 rows,
// at most 100 packets.
struct Matrix {
    uint8_t columns = 10;
    uint8_t rows = 10;
    bool row_repair = true;  // false: columns only
    bool staggered = false;  // each column begins some rows after the one before; false: all in the same row
    bool operator==(const Matrix&) const = default;

    static constexpr unsigned kMaxLine = 20, kMinRows = 4, kMinColumns2D = 4, kMaxPackets = 100;
    constexpr bool allowed() const noexcept {
        return columns >= (row_repair ? kMinColumns2D : 1) && columns <= kMaxLine && rows >= kMinRows &&
               rows <= kMaxLine && unsigned{columns} * rows <= kMaxPackets;
    }
};

enum class Line : uint8_t { column = 0, row = 1 };  // the D bit

// The fields of media packets that a repair packet carries the sum of, beside the sum of their bodies: everything
// after the fixed 12 bytes of the RTP header.
struct FieldSum {
    uint16_t flags = 0;   // P, X, CC, M and payload type where they lie in the first two bytes
    uint16_t length = 0;  // bytes of body
    uint32_t timestamp = 0;
    bool operator==(const FieldSum&) const = default;

    static FieldSum of(std::span<const std::byte> packet) noexcept;  // of one packet of at least 12 bytes
    void add(const FieldSum& other) noexcept {
        flags ^= other.flags;
        length ^= other.length;
        timestamp ^= other.timestamp;
    }
};

inline constexpr size_t kMediaHeader = 12;        // RTP
inline constexpr size_t kRepairHeader = 12 + 16;  // RTP, FEC

// The header of a repair packet: it is the sum of the packets base, base + offset, ... (count of them).
struct RepairHeader {
    Line line = Line::column;
    uint16_t base = 0;
    uint8_t offset = 1;
    uint8_t count = 1;
    FieldSum fields;
    bool operator==(const RepairHeader&) const = default;

    uint32_t reach() const noexcept { return (count - 1u) * offset; }  // from the first packet to the last
};

// The first 12 bytes of the packet whose fields these are. Its number and SSRC are known from elsewhere.
void write_media_header(std::byte* to, const FieldSum& fields, uint16_t sequence, uint32_t ssrc) noexcept;

enum class BadRepair : uint8_t {
    runt,     // shorter than its headers
    version,  // not RTP version 2
    scheme,   // RFC 2733 without the extension, another code than XOR, or a mask: not ST 2022-1
    empty     // sum of no packet
};

// Of a whole UDP payload. The body is what follows the first kRepairHeader bytes: P, X and CC are the media's sums, and
// say nothing about this packet.
std::expected<RepairHeader, BadRepair> parse_repair(std::span<const std::byte> packet) noexcept;

// `sequence` is the repair stream's own, `timestamp` the moment of sending by the media's clock. SSRC 0: repair packets
// are told by their port.
void write_repair(std::span<std::byte, kRepairHeader> to, const RepairHeader& header, uint16_t sequence,
                  uint32_t timestamp) noexcept;

}  // namespace penstock::rtp::fec
