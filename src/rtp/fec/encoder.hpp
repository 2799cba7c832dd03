#pragma once
// Repair packets of one media stream, by any scheme. Called with each media packet, it says which repair packet, if
// any, is to follow it: never more than one, so that repair is spread between the media. Written by the one worker that
// owns the track; the counters are read by control.
//
// Sums are made as packets pass: no media packet is kept. Rows and columns stay open for two matrices, so that a packet
// that comes late (reordered, or recovered by FEC of another hop) still counts. A sum that lacks a packet is never
// sent: a receiver would make a wrong packet of it.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "rtp/fec/repair.hpp"
#include "rtp/fec/slots.hpp"
#include "rtp/fec/xor.hpp"
#include "rtp/numbering.hpp"
#include "rtp/renumbering.hpp"

namespace penstock::rtp::fec {

struct Repair {
    Line line = Line::column;
    Head head{};
    std::span<const std::byte> body;  // valid until the next call of the encoder
};

struct EncoderCounters {
    Counter columns;  // repair packets made
    Counter rows;
    Counter abandoned;  // rows and columns never sent: a packet of theirs never came, or the scheme cannot say them
    Counter too_large;  // media packets that are larger than the encoder has room for
};

class Encoder {
public:
    Encoder(const Code& code, size_t largest);  // `largest`: bytes of an RTP packet

    // `packet` is valid RTP. What it returns is to be sent after it.
    std::optional<Repair> protect(std::span<const std::byte> packet) noexcept;

    // Before protect(), that it need not wait for memory. Each step reads what the former has fetched, so some packets
    // should lie between them. Worth it for many encoders, whose sums no cache holds.
    void fetch_state() const noexcept;
    void fetch_places() const noexcept;
    void fetch_sums(std::span<const std::byte> packet) const noexcept;

    // Carriage::among_media: the sequence number with which the last protected packet is to be sent.
    bool renumbers() const noexcept { return code_.carriage.among_media; }
    uint16_t sequence() const noexcept { return sequence_; }

    const EncoderCounters& counters() const noexcept { return counters_; }

private:
    static constexpr uint16_t kNoSlot = 0xffff;
    static constexpr uint64_t kNoRow = uint64_t{1} << 62, kNever = ~uint64_t{0};
    static constexpr uint32_t kBehind = 1024;   // later than any matrix waits: still the same source
    static constexpr size_t kRemembered = 256;  // repair packets among the media: more than any matrix waits for

    struct Sum {
        FieldSum fields;
        uint16_t size = 0;        // bytes of the longest body
        uint16_t slot = kNoSlot;  // kNoSlot: nothing summed, or sent already
        uint8_t count = 0;
    };
    struct Row {
        uint32_t seen = 0;  // a bit a column: a packet that comes twice would cancel itself
        Sum sum;
    };
    struct Block {  // one column of one matrix
        uint64_t first_row = kNoRow;
        uint64_t due = kNever;  // number of the media packet that its repair may follow; kNever: it is not complete
        Sum sum;
    };
    struct Column {
        uint64_t stagger = 0;  // the row in which its first block begins
        Block current, previous;
    };
    struct Cell {  // rows are counted since the start
        uint64_t row;
        uint32_t column;
    };

    void start(std::span<const std::byte> packet) noexcept;
    uint32_t column_of(std::span<const std::byte> packet) const noexcept;
    std::byte* at(const Sum& sum) noexcept { return slots_[sum.slot] + place_; }
    void renumber(uint64_t number, bool placed) noexcept;
    Cell cell_of(uint64_t number) const noexcept;
    Row* place(std::span<const std::byte> packet, Cell& cell) noexcept;
    Row* place_next(std::span<const std::byte> packet, Cell& cell) noexcept;
    Row* row_at(uint64_t row) noexcept;
    Block* block_at(Column& column, uint64_t row) noexcept;
    void add(Sum* row, Sum* column, std::span<const std::byte> packet) noexcept;
    void extend(Sum& sum, std::span<const std::byte> body) noexcept;
    void abandon(Sum& sum) noexcept;
    uint64_t due(size_t column, const Block& block) const noexcept;
    std::optional<Repair> due_column() noexcept;
    Block* due_at(size_t column, uint64_t number) noexcept;
    void find_due() noexcept;
    std::optional<Repair> take(Sum& sum, Line line, uint64_t base) noexcept;
    bool list_members(Line line, uint64_t base, Members& into) const noexcept;

    const Code code_;
    const Matrix matrix_;  // of the code
    const size_t largest_;
    const Xor& xor_;
    Slots slots_;
    size_t place_ = 0;            // where sums begin in their slots: where packets do in a line
    std::vector<uint16_t> free_;  // the last freed is the next used: it is still in the cache

    Numbering numbering_{kBehind};
    uint64_t start_ = 0;  // number of the first packet
    Cell newest_{};       // where numbering_.newest() lies
    uint32_t newest_timestamp_ = 0;
    std::vector<Row> rows_;  // a ring of the last two matrices' rows
    size_t newest_row_ = 0;  // in the ring
    std::vector<Column> columns_;
    uint64_t column_due_ = kNever;  // number of the media packet that the next column may follow
    size_t next_column_ = 0;        // and which column that is

    uint16_t row_sequence_ = 0, column_sequence_ = 0;  // ST 2022-1 has two repair streams; others use the first
    Renumbering renumbering_;                          // of media among which repair is put
    uint64_t last_ = 0;                                // the highest number that was given out
    uint16_t sequence_ = 0;
    EncoderCounters counters_;
};

}  // namespace penstock::rtp::fec
