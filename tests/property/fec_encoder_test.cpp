// The encoder, by every scheme, against sums made one byte at a time, whatever the network did to the media before.
#include "rtp/fec/encoder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include "support/fec.hpp"

using namespace penstock;
using namespace penstock::test;
using rtp::fec::Encoder;
using rtp::fec::Line;
using rtp::fec::Matrix;

TEST_CASE("every xor equals the portable one, for every size and offset", "[fec]") {
    Random random;
    const auto xors = rtp::fec::runnable_xors();
    for (size_t run = 0; run < 3000; run++) {
        const size_t size = run < 400 ? run : random.below<size_t>(2000);
        const size_t skip = random.below<size_t>(64), whole = (skip + size + 63) / 64 * 64;
        // Nothing may be read beyond the packet's own bytes: it lies at the end of its memory.
        const Bytes from = random.bytes(random.below<size_t>(64) + size), a = random.bytes(whole),
                    b = random.bytes(whole);
        const std::byte* const packet = from.data() + from.size() - size;
        Bytes a_expected = a, b_expected = b;
        const Bytes begun(packet, packet + size);
        for (size_t i = 0; i < size; i++) {
            a_expected[skip + i] ^= packet[i];
            b_expected[skip + i] ^= packet[i];
        }
        for (const auto& x : xors) {
            INFO(x.name << ' ' << size << " bytes at " << skip);
            rtp::fec::Slots sums(5, whole);  // of whole lines
            const auto set = [&](size_t i, const Bytes& to) { std::ranges::copy(to, sums[i]); };
            const auto is = [&](size_t i) { return Bytes(sums[i], sums[i] + whole); };
            set(0, a);
            set(1, a);
            set(2, b);
            set(3, a);
            set(4, b);
            x.one(sums[0] + skip, packet, size);
            x.two(sums[1] + skip, sums[2] + skip, packet, size);
            REQUIRE(is(0) == a_expected);  // and nothing beside it changed
            REQUIRE(is(1) == a_expected);
            REQUIRE(is(2) == b_expected);
            x.first(sums[3] + skip, sums[4] + skip, packet, size);
            REQUIRE(Bytes(sums[3] + skip, sums[3] + skip + size) == begun);
            REQUIRE(is(4) == b_expected);
        }
    }
}

TEST_CASE("the repair of each complete row and column is sent once, and right to the byte", "[fec]") {
    Random random;
    for (int run = 0; run < 250; run++) {
        const rtp::fec::Code code = any_code(random);
        const Matrix& matrix = code.matrix;
        const uint64_t size = uint64_t{matrix.columns} * matrix.rows, from = random.between(1, 0x10000),
                       count = 6 * size;
        const double loss = random.chance(0.5) ? 0 : 0.02, twice = random.chance(0.5) ? 0 : 0.05;
        // How far a packet may come late, so that its lines still wait for it, and the columns can still be sent.
        const uint64_t late = random.chance(0.4) ? 0 : random.below<uint64_t>(size / 2 + 1);
        INFO("run " << run << ": " << named(code) << " loss " << loss << " late " << late);
        std::map<uint64_t, Bytes> media;
        std::vector<std::pair<uint64_t, uint64_t>> arrivals;  // when, which
        for (uint64_t n = from; n < from + count; n++) {
            media[n] = any_media_packet(random, n, 200);
            if (n != from && random.chance(loss)) continue;
            const uint64_t delay = n == from ? 0 : random.below<uint64_t>(late + 1);
            arrivals.emplace_back(n + delay, n);
            if (random.chance(twice)) arrivals.emplace_back(n + delay + random.below<uint64_t>(late + 1), n);
        }
        std::ranges::stable_sort(arrivals);

        Encoder encoder(code, 212);
        std::map<LineModel, Bytes> expected;
        std::set<uint64_t> arrived;
        for (const auto& [when, n] : arrivals) arrived.insert(n);
        for (const LineModel& line : lines_of(matrix, from, count))
            if (std::ranges::all_of(line.members, [&](uint64_t n) { return arrived.contains(n); }))
                expected[line] = repair_of(line, code, media);

        std::multiset<Bytes> made;
        unsigned made_of[2] = {0, 0}, sequences[2] = {0, 0};
        const bool two_streams = code.carriage.scheme == rtp::fec::Scheme::st2022_1;
        for (const auto& [when, n] : arrivals) {
            const auto repair = encoder.protect(media[n]);
            if (!repair) continue;
            const Bytes packet = whole(*repair);
            made.insert(without_sequence_and_time(packet));
            made_of[static_cast<size_t>(repair->line)]++;
            CHECK(at16(packet, 2) == sequences[two_streams ? static_cast<size_t>(repair->line) : 0]++);
        }
        std::multiset<Bytes> wanted;
        size_t columns_to_come = 0;  // those of the last matrix wait for media to follow
        for (const auto& [line, repair] : expected) {
            if (!made.contains(repair) && line.line == Line::column && line.members.back() >= from + count - 2 * size) {
                columns_to_come++;
                continue;
            }
            wanted.insert(repair);
        }
        CHECK(made == wanted);
        CHECK(columns_to_come <= 2u * matrix.columns);
        CHECK(encoder.counters().rows.read() == made_of[1]);
        CHECK(encoder.counters().columns.read() == made_of[0]);
    }
}

// ST 2022-1 annex B and RFC 8627 section 1.1: repair in bursts would be lost in bursts.
TEST_CASE("the columns of a matrix are spread evenly over the time of the next one", "[fec]") {
    Random random;
    for (int run = 0; run < 250; run++) {
        const rtp::fec::Code code = any_code(random);
        const Matrix& matrix = code.matrix;
        if (!matrix.column_repair) continue;
        INFO("run " << run << ": " << named(code));
        const uint64_t size = matrix.packets(), from = random.between(1, 0x10000);
        Encoder encoder(code, 212);
        std::vector<uint64_t> columns;  // the packets after which one was sent, counted from the first
        for (uint64_t n = 0; n < 6 * size; n++) {
            const auto repair = encoder.protect(any_media_packet(random, from + n, 200));
            if (repair && repair->line == Line::column) columns.push_back(n);
        }
        // A row's repair has the right of way: a column is sent one packet later then.
        REQUIRE(columns.size() >= 4u * matrix.columns);
        for (size_t i = 0; i < columns.size(); i++) {
            const uint64_t due = size + i * matrix.rows;
            CHECK(columns[i] >= due);
            CHECK(columns[i] <= due + (matrix.row_repair ? 1 : 0));
        }
    }
}
