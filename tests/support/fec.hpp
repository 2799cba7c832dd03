#pragma once
// Media packets, and repair packets of every scheme made in the most straightforward way: what encoder and decoder are
// compared with.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rtp/fec/encoder.hpp"
#include "rtp/fec/flexfec.hpp"
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
    for (uint64_t column = 0; m.column_repair && column < columns; column++) {
        const uint64_t stagger = m.staggered ? column * rows / columns : 0;
        for (uint64_t row = stagger; (row + rows - 1) * columns + column < count; row += rows) {
            LineModel line{rtp::fec::Line::column, {}};
            for (uint64_t i = 0; i < rows; i++) line.members.push_back(from + (row + i) * columns + column);
            lines.push_back(line);
        }
    }
    return lines;
}

inline constexpr rtp::fec::Carriage kSt2022{};
inline rtp::fec::Code st2022(const rtp::fec::Matrix& matrix) { return {.carriage = kSt2022, .matrix = matrix}; }

// Bits of a mask, the first highest, of the packets of a line.
inline Bytes mask_of(const LineModel& line, size_t bits) {
    Bytes mask(bits / 8);
    for (const uint64_t n : line.members) {
        const uint64_t bit = n - line.members[0];
        mask.at(bit / 8) |= static_cast<std::byte>(0x80 >> bit % 8);
    }
    return mask;
}

// The repair packet of a line but for its own sequence number and timestamp, which are zero: byte by byte.
inline Bytes repair_of(const LineModel& line, const rtp::fec::Code& code, const std::map<uint64_t, Bytes>& media) {
    using rtp::fec::Scheme;
    const rtp::fec::Matrix& m = code.matrix;
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
    const auto base = static_cast<unsigned>(line.members[0] & 0xffff);
    const uint64_t span = line.members.back() - line.members[0] + 1;
    const auto timestamp = std::span{sum}.subspan(4, 4);
    Bytes repair;
    switch (code.carriage.scheme) {
        case Scheme::st2022_1:
            append8(repair, 0x80 | (at8(sum, 0) & 0x3f));
            append8(repair, (at8(sum, 1) & 0x80) | 96);
            append(repair, Bytes(10));
            append16(repair, base);
            append16(repair, length);
            append8(repair, 0x80 | (at8(sum, 1) & 0x7f));
            append(repair, Bytes(3));
            append(repair, timestamp);
            append8(repair, row ? 0x40 : 0);
            append8(repair, row ? 1 : m.columns);
            append8(repair, row ? m.columns : m.rows);
            append8(repair, 0);
            break;
        case Scheme::flexfec:
            append8(repair, 0x81);
            append8(repair, code.carriage.payload_type);
            append(repair, Bytes(6));
            append32(repair, rtp::fec::repair_ssrc(kMediaSsrc));
            append32(repair, kMediaSsrc);
            append8(repair, (at8(sum, 0) & 0x3f) | (code.mask ? 0 : 0x40));
            append8(repair, at8(sum, 1));
            append16(repair, length);
            append(repair, timestamp);
            append16(repair, base);
            if (code.mask) {
                const Bytes bits = mask_of(line, 112);  // packet i, in a mask of no K bits
                const auto has = [&](size_t i) { return (at8(bits, i / 8) >> (7 - i % 8) & 1) != 0; };
                const size_t size = span <= 15 ? 2 : span <= 46 ? 6 : 14;
                Bytes mask(size);
                for (size_t i = 0; i < 110; i++) {
                    const size_t at = i < 15 ? i + 1 : i + 2;  // after the K bits before it
                    if (has(i)) mask.at(at / 8) |= static_cast<std::byte>(0x80 >> at % 8);
                }
                if (size > 2) mask[0] |= std::byte{0x80};
                if (size > 6) mask[2] |= std::byte{0x80};
                append(repair, mask);
            } else {
                append8(repair, m.columns);
                append8(repair, row ? (m.column_repair ? 1 : 0) : m.rows);
            }
            break;
        case Scheme::ulpfec:
            append8(repair, 0x80);
            append8(repair, code.carriage.payload_type);
            append(repair, Bytes(6));
            append32(repair, kMediaSsrc);
            append8(repair, (at8(sum, 0) & 0x3f) | (span > 16 ? 0x40 : 0));
            append8(repair, at8(sum, 1));
            append16(repair, base);
            append(repair, timestamp);
            append16(repair, length);
            append16(repair, static_cast<unsigned>(longest - 12));
            append(repair, mask_of(line, span > 16 ? 48 : 16));
            break;
    }
    append(repair, std::span{sum}.subspan(12));
    return repair;
}

inline Bytes whole(const rtp::fec::Repair& repair) {
    Bytes packet(repair.head.span().begin(), repair.head.span().end());
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

// Among the media: ULPFEC only, on request.
inline rtp::fec::Code any_code(Random& random, bool among_media = false) {
    using rtp::fec::Scheme;
    for (;;) {
        rtp::fec::Code code;
        auto& m = code.matrix;
        m.columns = random.between<uint8_t>(1, 20);
        m.rows = random.between<uint8_t>(2, 20);
        m.row_repair = random.chance(0.7);
        m.column_repair = random.chance(0.7);
        m.staggered = m.column_repair && random.chance(0.5);
        code.carriage.scheme = static_cast<Scheme>(random.below(3));
        if (m.packets() > rtp::fec::Matrix::kMaxPackets || !(m.row_repair || m.column_repair)) continue;
        // Fewer columns leave no room for their repair between that of the rows.
        if (m.row_repair && m.column_repair && m.columns < 4) continue;
        if (code.carriage.scheme == Scheme::st2022_1 && !m.column_repair) continue;
        if (code.carriage.scheme == Scheme::ulpfec && m.row_repair == m.column_repair) continue;
        if (code.carriage.scheme == Scheme::ulpfec && m.packets() > 40) continue;
        if (code.carriage.scheme != Scheme::st2022_1) code.carriage.payload_type = 120;
        code.carriage.among_media = among_media && code.carriage.scheme == Scheme::ulpfec && random.chance(0.7);
        code.mask = code.carriage.scheme == Scheme::flexfec && random.chance(0.5);
        return code;
    }
}
inline std::string named(const rtp::fec::Code& code) {
    static constexpr const char* kNames[] = {"st2022-1 ", "flexfec ", "ulpfec "};
    const auto& m = code.matrix;
    return kNames[static_cast<size_t>(code.carriage.scheme)] + std::string(code.mask ? "mask " : "") +
           std::string(code.carriage.among_media ? "among media " : "") + std::to_string(m.columns) + 'x' +
           std::to_string(m.rows) + (m.row_repair ? " rows" : "") + (m.column_repair ? " columns" : "") +
           (m.staggered ? " staggered" : "");
}

}  // namespace penstock::test
