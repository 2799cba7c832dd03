// SMPTE ST 2022-1: the header, and what independent programs send.
#include "rtp/fec/decoder.hpp"

#include <catch2/catch.hpp>

#include <fstream>

#include "rtp/fec/st2022.hpp"
#include "support/fec.hpp"

using namespace penstock;
using namespace penstock::test;
using rtp::fec::BadRepair;
using rtp::fec::Decoder;
using rtp::fec::Encoder;
using rtp::fec::Line;
using rtp::fec::Matrix;
using rtp::fec::RepairHeader;

namespace {

struct Recorded {
    std::string to;  // media, column, row
    Bytes packet;
};
std::vector<Recorded> recorded(const std::string& name) {
    std::ifstream file(PENSTOCK_SOURCE_ROOT "/tests/unit/fec/" + name);
    std::vector<Recorded> packets;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with('#')) continue;
        const size_t blank = line.find(' ');
        packets.push_back({line.substr(0, blank), hex(std::string_view{line}.substr(blank))});
    }
    REQUIRE(packets.size() > 50);
    return packets;
}

// What a repair packet says that it is the sum of; its sequence number and timestamp apart.
using Equations = std::map<std::pair<Line, uint16_t>, Bytes>;
void note(Equations& equations, const Bytes& packet) {
    const auto repair = rtp::fec::parse_st2022(packet);
    REQUIRE(repair);
    equations[{repair->header.line, repair->header.members.base}] = without_sequence_and_time(packet);
}

Bytes some(size_t size) { return media_packet(1, 2, numbered(size)); }

}  // namespace

TEST_CASE("a repair header, as the standard draws it", "[fec]") {
    // P, M and payload type of the media sum to 1, 1 and 0x21; 7 columns, 5 rows; the first protected packet is 0xfffe.
    const Bytes packet = hex("a0e0 0102 01020304 00000000  fffe 0528 a1000000 0a0b0c0d 00070500  c0ffee");
    const auto parsed = rtp::fec::parse_st2022(packet);
    REQUIRE(parsed);
    CHECK(parsed->header == RepairHeader{.line = Line::column,
                                         .members = {.base = 0xfffe, .offset = 7, .count = 5},
                                         .fields = {.flags = 0x20a1, .length = 0x0528, .timestamp = 0x0a0b0c0d}});
    CHECK(parsed->header.members.reach() == 28);
    CHECK(std::ranges::equal(parsed->body, hex("c0ffee")));
    const rtp::fec::Own own{.sequence = 0x0102, .timestamp = 0x01020304, .media_ssrc = 9, .body_size = 3};
    rtp::fec::Head written;
    rtp::fec::write_st2022(st2022({}), parsed->header, own, written);
    CHECK(std::ranges::equal(written.span(), std::span{packet}.first(28)));

    const Bytes row = hex("8060 0000 00000000 00000000  0001 0000 80000000 00000000 40010a00");
    CHECK(rtp::fec::parse_st2022(row)->header.line == Line::row);
    CHECK(rtp::fec::parse_st2022(row)->header.members.count == 10);
}

TEST_CASE("what is not ST 2022-1 is refused", "[fec]") {
    const Bytes good = hex("8060 0000 00000000 00000000  0001 0000 80000000 00000000 40010a00");
    REQUIRE(rtp::fec::parse_st2022(good));
    const auto refused = [&](size_t at, unsigned byte) {
        Bytes bad = good;
        bad[at] = static_cast<std::byte>(byte);
        const auto header = rtp::fec::parse_st2022(bad);
        REQUIRE_FALSE(header);
        return header.error();
    };
    CHECK(rtp::fec::parse_st2022(std::span{good}.first(27)).error() == BadRepair::runt);
    CHECK(refused(0, 0x40) == BadRepair::version);
    CHECK(refused(16, 0x21) == BadRepair::scheme);  // RFC 2733 proper
    CHECK(refused(18, 0x80) == BadRepair::scheme);  // with a mask
    CHECK(refused(24, 0x48) == BadRepair::scheme);  // Hamming
    CHECK(refused(24, 0xc0) == BadRepair::scheme);  // more extensions
    CHECK(refused(25, 0) == BadRepair::empty);
    CHECK(refused(26, 0) == BadRepair::empty);
}

TEST_CASE("repair goes between the media, columns evenly", "[fec]") {
    for (const bool staggered : {false, true}) {
        Encoder encoder(st2022({.columns = 5, .rows = 10, .row_repair = true, .staggered = staggered}), 100);
        std::vector<unsigned> rows, columns;
        for (unsigned n = 0; n < 400; n++) {
            const auto repair = encoder.protect(media_packet(n, n, numbered(20)));
            if (!repair || n < 200) continue;
            (repair->line == Line::row ? rows : columns).push_back(n);
        }
        CHECK(rows.size() == 40);
        CHECK(columns.size() == 20);
        for (const unsigned n : rows) CHECK(n % 5 == 4);  // at once
        for (size_t i = 1; i < columns.size(); i++) CHECK(columns[i] - columns[i - 1] == 10);
    }
}

TEST_CASE("a source that restarts begins a new matrix; the repair streams go on", "[fec]") {
    Encoder encoder(st2022({.columns = 4, .rows = 4, .row_repair = true, .staggered = false}), 100);
    std::vector<Bytes> rows;
    const auto protect = [&](uint64_t n, uint32_t ssrc) {
        const auto repair = encoder.protect(media_packet(n, 0, numbered(20), 0x8021, ssrc));
        if (repair && repair->line == Line::row) rows.push_back(whole(*repair));
    };
    for (uint64_t n = 0; n < 6; n++) protect(n, 1);
    for (uint64_t n = 40'000; n < 40'008; n++) protect(n, 2);  // the second makes it believed
    REQUIRE(rows.size() == 2);
    CHECK(at16(rows[0], 12) == 0);
    CHECK(at16(rows[1], 12) == 40'001);
    CHECK(at16(rows[0], 2) == 0);
    CHECK(at16(rows[1], 2) == 1);
    CHECK(encoder.counters().abandoned.read() == 5);  // the second row, and the columns
}

TEST_CASE("a packet that is too large leaves its row and column without repair", "[fec]") {
    Encoder encoder(st2022({.columns = 4, .rows = 4, .row_repair = true, .staggered = false}), 100);
    unsigned repairs = 0;
    for (unsigned n = 0; n < 64; n++)
        repairs += encoder.protect(media_packet(n, 0, numbered(n == 5 ? 89 : 88))) ? 1 : 0;
    CHECK(encoder.counters().too_large.read() == 1);
    CHECK(repairs == 16 - 1 + 12 - 1);
}

TEST_CASE("our repair of what FFmpeg and GStreamer protect is theirs", "[fec]") {
    const std::string name = GENERATE(as<std::string>{}, "ffmpeg-5x4", "gstreamer-5x4");
    INFO(name);
    Encoder encoder(st2022({.columns = 5, .rows = 4, .row_repair = true, .staggered = name == "gstreamer-5x4"}), 212);
    Equations ours, theirs;
    for (const auto& [to, packet] : recorded(name)) {
        if (to != "media") {
            note(theirs, packet);
        } else if (const auto repair = encoder.protect(packet)) {
            note(ours, whole(*repair));
        }
    }
    // All of the rows and columns that both sent: neither sees the other's last ones. GStreamer staggers its columns by
    // a row each, we by what makes them even.
    size_t same = 0;
    for (const auto& [key, packet] : ours) {
        if (!theirs.contains(key)) continue;
        CHECK(theirs[key] == packet);
        same++;
    }
    CHECK(same >= (name == "ffmpeg-5x4" ? 13 : 16));
}

TEST_CASE("each packet that FFmpeg or GStreamer protects is recovered", "[fec]") {
    const std::string name = GENERATE(as<std::string>{}, "ffmpeg-5x4", "gstreamer-5x4");
    const auto packets = recorded(name);
    std::map<unsigned, Bytes> media;
    std::set<unsigned> is_protected;
    for (const auto& [to, packet] : packets) {
        if (to == "media") media[at16(packet, 2)] = packet;
        if (to == "media") continue;
        const auto members = rtp::fec::parse_st2022(packet)->header.members;
        for (unsigned i = 0; i < members.count; i++) is_protected.insert((members.base + i * members.offset) & 0xffff);
    }
    unsigned recoveries = 0;
    for (size_t lost = 1; lost < packets.size(); lost++) {
        if (packets[lost].to != "media" || !is_protected.contains(at16(packets[lost].packet, 2))) continue;
        INFO(name << " packet " << lost);
        Decoder decoder(212);
        std::vector<Bytes> recovered;
        for (size_t i = 0; i < packets.size(); i++) {
            if (i == lost) continue;
            if (packets[i].to == "media") {
                decoder.media(packets[i].packet);
            } else {
                decoder.repair(kSt2022, packets[i].packet);
            }
            while (const auto packet = decoder.recover()) recovered.emplace_back(packet->begin(), packet->end());
        }
        if (media.rbegin()->second == packets[lost].packet) continue;
        REQUIRE(recovered.size() == 1);
        CHECK(recovered[0] == packets[lost].packet);
        recoveries++;
    }
    CHECK(recoveries > 30);
}

TEST_CASE("repair that contradicts the media, or itself, gives nothing", "[fec]") {
    std::vector<Bytes> media;
    Encoder encoder(st2022({.columns = 4, .rows = 4, .row_repair = true, .staggered = false}), 200);
    Bytes row;
    for (unsigned n = 0; n < 6; n++) {
        media.push_back(media_packet(n, n * 3000, numbered(n == 2 ? 50 : 90 + n)));
        if (const auto repair = encoder.protect(media[n])) row = whole(*repair);
    }
    const auto recovered = [&](const Bytes& repair) {
        Decoder decoder(200);
        for (unsigned n = 0; n < 6; n++)
            if (n != 2) decoder.media(media[n]);
        decoder.repair(kSt2022, repair);
        const auto packet = decoder.recover();
        CHECK(decoder.counters().refused.read() == (packet ? 0 : 1));
        return packet ? Bytes(packet->begin(), packet->end()) : Bytes{};
    };
    CHECK(recovered(row) == media[2]);
    Bytes bad = row;
    bad[14] ^= std::byte{0x40};  // a length that no packet has
    CHECK(recovered(bad).empty());
    bad = row;
    bad[28 + 60] ^= std::byte{1};  // bytes behind the end of the lost packet
    CHECK(recovered(bad).empty());
    bad = row;
    bad[20] ^= std::byte{0x40};  // another time
    CHECK(recovered(bad).empty());
    bad = row;
    bad[0] ^= std::byte{0x0f};  // more CSRCs than it is long
    CHECK(recovered(bad).empty());
    bad = row;
    bad.resize(row.size() - 1);  // shorter than the longest
    CHECK(recovered(bad).empty());
}

TEST_CASE("repair before its media waits for what is lost, not for what is late", "[fec]") {
    std::vector<Bytes> media;
    Encoder encoder(st2022({.columns = 4, .rows = 4, .row_repair = true, .staggered = false}), 200);
    Bytes row;
    for (unsigned n = 0; n < 4; n++) {
        media.push_back(media_packet(n, n * 3000, numbered(50)));
        if (const auto repair = encoder.protect(media[n])) row = whole(*repair);
    }
    media.push_back(media_packet(4, 4 * 3000, numbered(50)));
    Decoder decoder(200);
    for (unsigned n = 0; n < 3; n++) CHECK(decoder.media(media[n]));
    decoder.repair(kSt2022, row);
    CHECK_FALSE(decoder.recover());
    SECTION("it comes") {
        CHECK(decoder.media(media[3]));
        CHECK(decoder.media(media[4]));
        CHECK_FALSE(decoder.recover());
        CHECK(decoder.counters().unneeded.read() == 1);
    }
    SECTION("the source goes on much later") {
        CHECK(decoder.media(media_packet(3 + 600, 0, numbered(50))));
        CHECK_FALSE(decoder.recover());
        CHECK(decoder.media(media_packet(3 + 512, 0, numbered(50))));  // no other packet lies where it goes
    }
    SECTION("the next one comes") {
        CHECK(decoder.media(media[4]));
        const auto packet = decoder.recover();
        REQUIRE(packet);
        CHECK(Bytes(packet->begin(), packet->end()) == media[3]);
        CHECK_FALSE(decoder.media(media[3]));
    }
}

TEST_CASE("repair without its media is of no use", "[fec]") {
    Decoder decoder(200);
    decoder.repair(kSt2022, hex("8060 0000 00000000 00000000  0001 0000 80000000 00000000 40010a00"));  // before any
    decoder.media(some(100));
    for (const char* base : {"0001", "3000", "d000"})  // of here, far ahead, far behind
        decoder.repair(kSt2022,
                       hex("8060 0000 00000000 00000000 " + std::string(base) + " 0000 80000000 00000000 40010a00"));
    decoder.repair(kSt2022, hex("8060 0000 00000000 00000000  0001 0000 80000000 00000000 40010a00"));  // twice
    CHECK_FALSE(decoder.recover());
    CHECK(decoder.counters().useless.read() == 4);
    CHECK(decoder.counters().repair[static_cast<size_t>(Line::row)].read() == 5);
    CHECK(decoder.media(media_packet(2, 3, numbered(300))));  // larger than there is room for: it is there all the same
}

TEST_CASE("FEC that is joined mid-stream repairs what comes after, and gives nothing from before", "[fec]") {
    Encoder encoder(st2022({.columns = 4, .rows = 4, .row_repair = true, .staggered = false}), 200);
    Decoder decoder(200);
    std::vector<unsigned> recovered;
    for (unsigned n = 0; n < 48; n++) {
        const Bytes packet = media_packet(n, n * 3000, numbered(50 + n));
        const auto repair = encoder.protect(packet);
        if (n < 2) continue;
        // 5 and 6 share a row, and each has a column that lacks a packet from before: 0 is known by its column, so 1 by
        // its row, so 5 by its column, so 6.
        if (n != 5 && n != 6 && n != 30) decoder.media(packet);
        if (repair) decoder.repair(kSt2022, whole(*repair));
        while (const auto found = decoder.recover()) {
            recovered.push_back(at16(*found, 2));
            const unsigned original = recovered.back();
            CHECK(Bytes(found->begin(), found->end()) ==
                  media_packet(original, original * 3000, numbered(50 + original)));
        }
    }
    CHECK(recovered == std::vector<unsigned>{5, 6, 30});
}
