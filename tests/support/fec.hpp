#pragma once
// Media packets, and the repair packets of ST 2022-1 made in the most straightforward way: what encoder and decoder are
// compared with.
#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "rtp/fec/encoder.hpp"
#include "support/bytes.hpp"
#include "support/random.hpp"

namespace penstock::test {

inline constexpr uint32_t kMediaSsrc = 0x11223344;

inline Bytes media_packet(uint64_t number, uint32_t timestamp, const Bytes& body, unsigned flags = 0x8021,
                          uint32_t ssrc = kMediaSsrc) {
    Bytes packet;
    append16(packet, flags);
    append16(packet, static_cast<unsigned>(number & 0xffff));
    append32(packet, timestamp);
    append32(packet, ssrc);
    append(packet, body);
    return packet;
}

// Packets number `from` and on: payload types, markers and sizes differ, some carry a CSRC or an extension, some are
// padded.
inline Bytes any_media_packet(Random& random, uint64_t number, size_t most, uint32_t ssrc = kMediaSsrc) {
    Bytes body = random.bytes(random.chance(0.5) ? most : random.below<size_t>(most + 1));
    unsigned flags = 0x8000 | (random.chance(0.2) ? 0x80 : 0) | random.between(33, 34);
    if (random.chance(0.1) && body.size() >= 4) flags |= 0x0100;  // the first word is a CSRC
    if (random.chance(0.1) && body.size() >= 12) {                // then four bytes of header, four of extension
        flags |= 0x1000;
        const size_t at = (flags & 0x0100) != 0 ? 4 : 0;
        body[at + 2] = std::byte{0};
        body[at + 3] = std::byte{1};
    }
    if (random.chance(0.1) && body.size() >= 13) {
        flags |= 0x2000;
        body.back() = std::byte{1};
    }
    return media_packet(number, static_cast<uint32_t>(number * 3003), body, flags, ssrc);
}

// A row or a column: the numbers whose packets it is the sum of.
struct LineModel {
    rtp::fec::Line line;
    std::vector<uint64_t> members;
    bool operator<(const LineModel& other) const {
        return std::tie(line, members) < std::tie(other.line, other.members);
    }
};

// The rows and columns of `count` packets from number `from`, that lie in them completely.
inline std::vector<LineModel> lines_of(const rtp::fec::Matrix& m, uint64_t from, uint64_t count) {
    std::vector<LineModel> lines;
    const uint64_t columns = m.columns, rows = m.rows;
    for (uint64_t row = 0; m.row_repair && (row + 1) * columns <= count; row++) {
        LineModel line{rtp::fec::Line::row, {}};
        for (uint64_t i = 0; i < columns; i++) line.members.push_back(from + row * columns + i);
        lines.push_back(line);
    }
    for (uint64_t column = 0; column < columns; column++) {
        const uint64_t stagger = m.staggered ? column * rows / columns : 0;
        for (uint64_t row = stagger; (row + rows - 1) * columns + column < count; row += rows) {
            LineModel line{rtp::fec::Line::column, {}};
            for (uint64_t i = 0; i < rows; i++) line.members.push_back(from + (row + i) * columns + column);
            lines.push_back(line);
        }
    }
    return lines;
}

// The repair packet of a line but for its own sequence number and timestamp, which are zero: byte by byte.
inline Bytes repair_of(const LineModel& line, const rtp::fec::Matrix& m, const std::map<uint64_t, Bytes>& media) {
    size_t longest = 0;
    for (const uint64_t n : line.members) longest = std::max(longest, media.at(n).size());
    Bytes sum(longest);
    unsigned length = 0;
    for (const uint64_t n : line.members) {
        const Bytes& packet = media.at(n);
        for (size_t i = 0; i < packet.size(); i++) sum[i] ^= packet[i];
        length ^= static_cast<unsigned>(packet.size() - 12);
    }
    const bool row = line.line == rtp::fec::Line::row;
    Bytes repair;
    append8(repair, 0x80 | (at8(sum, 0) & 0x3f));
    append8(repair, (at8(sum, 1) & 0x80) | 96);
    append(repair, Bytes(10));
    append16(repair, static_cast<unsigned>(line.members[0] & 0xffff));
    append16(repair, length);
    append8(repair, 0x80 | (at8(sum, 1) & 0x7f));
    append(repair, Bytes(3));
    append(repair, std::span{sum}.subspan(4, 4));
    append8(repair, row ? 0x40 : 0);
    append8(repair, row ? 1 : m.columns);
    append8(repair, row ? m.columns : m.rows);
    append8(repair, 0);
    append(repair, std::span{sum}.subspan(12));
    return repair;
}

inline Bytes whole(const rtp::fec::Repair& repair) {
    Bytes packet(repair.header.begin(), repair.header.end());
    append(packet, repair.body);
    return packet;
}
inline Bytes without_sequence_and_time(Bytes repair) {
    std::fill(repair.begin() + 2, repair.begin() + 8, std::byte{0});
    return repair;
}

// What of `lost` can be computed from the lines that arrived: again and again, until nothing more comes of it.
inline std::set<uint64_t> recoverable(std::set<uint64_t> lost, const std::vector<LineModel>& lines) {
    std::set<uint64_t> recovered;
    for (bool more = true; more;) {
        more = false;
        for (const LineModel& line : lines) {
            std::vector<uint64_t> unknown;
            for (const uint64_t n : line.members)
                if (lost.contains(n)) unknown.push_back(n);
            if (unknown.size() != 1) continue;
            lost.erase(unknown[0]);
            recovered.insert(unknown[0]);
            more = true;
        }
    }
    return recovered;
}

inline rtp::fec::Matrix any_matrix(Random& random) {
    for (;;) {
        const rtp::fec::Matrix m{.columns = random.between<uint8_t>(1, 20),
                                 .rows = random.between<uint8_t>(4, 20),
                                 .row_repair = random.chance(0.7),
                                 .staggered = random.chance(0.5)};
        if (m.allowed()) return m;
    }
}

}  // namespace penstock::test
