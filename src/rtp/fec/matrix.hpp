#pragma once
// Which media packets are summed into which repair packets, whatever the scheme that carries them.
#include <cstddef>
#include <cstdint>

namespace penstock::rtp::fec {

// Media packets, written row by row. Each row has a repair packet, each column, or both.
struct Matrix {
    uint8_t columns = 10;
    uint8_t rows = 10;          // without columns' repair: half of how many rows wait for packets that come late
    bool row_repair = true;     // FlexFEC: 1-D non-interleaved, when it is the only one
    bool staggered = false;     // each column begins some rows after the one before; false: all in the same row
    bool column_repair = true;  // FlexFEC: 1-D interleaved, when it is the only one
    bool operator==(const Matrix&) const = default;

    static constexpr unsigned kMaxLine = 20, kMaxPackets = 100;
    constexpr unsigned packets() const noexcept { return unsigned{columns} * rows; }
};

// What a repair packet is the sum of: packets at equal distances, as a mask says, or the copy of a single one.
enum class Line : uint8_t { column, row, mask, retransmission };
inline constexpr size_t kLines = 4;

}  // namespace penstock::rtp::fec
