// FlexFEC (RFC 8627) and ULPFEC (RFC 5109): headers, computed by hand from the RFCs' definitions.
#include <catch2/catch.hpp>

#include "rtp/fec/decoder.hpp"
#include "rtp/fec/flexfec.hpp"
#include "rtp/fec/ulpfec.hpp"
#include "support/fec.hpp"

using namespace penstock;
using namespace penstock::test;
using rtp::fec::BadRepair;
using rtp::fec::Carriage;
using rtp::fec::Code;
using rtp::fec::Decoder;
using rtp::fec::Encoder;
using rtp::fec::Line;
using rtp::fec::Scheme;

namespace {

constexpr Carriage kFlexfec{Scheme::flexfec, 110}, kUlpfec{Scheme::ulpfec, 122}, kAmong{Scheme::ulpfec, 122, true};

// Two packets. Of their first bytes the sums are 00 81; of the lengths of what follows the header, 2 + 5 = 7; of the
// timestamps 0bb8; of what follows, ab b9 03 04 05.
const char* const kA = "80 60 0064 00000000 11223344  aabb";
const char* const kB = "80 e1 0065 00000bb8 11223344  0102030405";

Bytes row_of_two(const Code& code) {
    Encoder encoder(code, 100);
    CHECK_FALSE(encoder.protect(hex(kA)));
    const auto repair = encoder.protect(hex(kB));
    REQUIRE(repair);
    return whole(*repair);
}

Bytes flexfec(const std::string& after_csrc) { return hex("81 6e 0000 00000bb8 4b1ea5a5 11223344 " + after_csrc); }
Bytes ulpfec(const std::string& after_rtp) { return hex("80 7a 0000 00000bb8 11223344 " + after_rtp); }

std::vector<unsigned> numbers(const rtp::fec::Members& members) {
    std::vector<unsigned> all;
    for (unsigned i = 0; i < members.count; i++)
        if (members.includes(i)) all.push_back(members.base + i * members.offset & 0xffffu);
    return all;
}

}  // namespace

TEST_CASE("the sum of two packets, as the RFCs write it", "[fec]") {
    const rtp::fec::Matrix row{.columns = 2, .column_repair = false};
    // L = 2, D = 0: one row, no columns.
    CHECK(row_of_two({kFlexfec, row, false}) == flexfec("40 81 0007 00000bb8 0064 02 00  abb9030405"));
    // k = 0, then a bit for each of 100 and 101.
    CHECK(row_of_two({kFlexfec, row, true}) == flexfec("00 81 0007 00000bb8 0064 6000  abb9030405"));
    // A protection length of 5, and a mask of 16 bits.
    CHECK(row_of_two({kUlpfec, row, false}) == ulpfec("00 81 0064 00000bb8 0007 0005 c000  abb9030405"));
    // D = 1: columns follow.
    CHECK(row_of_two({kFlexfec, {.columns = 2}, false}) == flexfec("40 81 0007 00000bb8 0064 02 01  abb9030405"));
}

TEST_CASE("a packet that is sent again as repair is the packet, whole, behind a header and its SSRC", "[fec]") {
    Bytes packet(hex(kB).size() + rtp::fec::kRetransmissionMore);
    rtp::fec::write_retransmission(packet.data(), hex(kB), 110, 7);
    // R = 1 and F = 0 are the two bits of version 2.
    CHECK(packet == hex("81 6e 0007 00000bb8 4b1ea5a4 11223344 " + std::string(kB)));
    const auto parsed = rtp::fec::parse_flexfec(packet, 110);
    REQUIRE(parsed);
    CHECK(parsed->header.line == Line::retransmission);
    CHECK(numbers(parsed->header.members) == std::vector{0x65u});
}

TEST_CASE("which packets a repair packet says that it protects", "[fec]") {
    const auto flexible = [](const std::string& block) {
        const auto parsed = rtp::fec::parse_flexfec(flexfec("00 00 0000 00000000 " + block), 110);
        REQUIRE(parsed);
        CHECK(parsed->ssrc == kMediaSsrc);
        CHECK(parsed->body.empty());
        return numbers(parsed->header.members);
    };
    using List = std::vector<unsigned>;
    CHECK(flexible("0064 4001") == List{100, 114});
    CHECK(flexible("0064 0002") == List{113});  // the first need not be among them
    CHECK(flexible("ffff 6000") == List{0xffff, 0});
    CHECK(flexible("0064 c000 40000001") == List{100, 115, 145});
    CHECK(flexible("0064 c000 80000001 8000000000000001") == List{100, 145, 146, 209});

    const auto fixed = [](const std::string& block) {
        return rtp::fec::parse_flexfec(flexfec("40 00 0000 00000000 " + block), 110)->header;
    };
    CHECK(numbers(fixed("0064 04 00").members) == List{100, 101, 102, 103});
    CHECK(fixed("0064 04 00").line == Line::row);
    CHECK_FALSE(fixed("0064 04 00").columns_follow);
    CHECK(fixed("0064 04 01").columns_follow);
    CHECK(numbers(fixed("0064 04 03").members) == List{100, 104, 108});
    CHECK(fixed("0064 04 03").line == Line::column);

    const auto masked = [](const std::string& header) {
        return numbers(rtp::fec::parse_ulpfec(ulpfec(header), 122)->header.members);
    };
    CHECK(masked("00 00 0064 00000000 0000 0000 8001") == List{100, 115});
    CHECK(masked("40 00 0064 00000000 0000 0000 8001 80000001") == List{100, 115, 116, 147});
    CHECK(masked("80 00 0064 00000000 0000 0000 8000") == List{100});  // E is to be ignored
}

TEST_CASE("what is not FlexFEC or ULPFEC, or not ours to use, is refused", "[fec]") {
    const auto flex = [](const Bytes& packet) { return rtp::fec::parse_flexfec(packet, 110).error(); };
    CHECK(flex(hex("816e")) == BadRepair::runt);
    CHECK(flex(flexfec("40 00 0000 00000000 0064 04")) == BadRepair::runt);
    CHECK(flex(flexfec("00 00 0000 00000000 0064 c000 4000")) == BadRepair::runt);
    CHECK(flex(flexfec("00 00 0000 00000000 0064 c000 c0000000 80000000")) == BadRepair::runt);
    CHECK(flex(flexfec("c0 00 0000 00000000 0064 04 00")) == BadRepair::scheme);  // R and F
    CHECK(flex(flexfec("40 00 0000 00000000 0064 00 00")) == BadRepair::empty);
    CHECK(flex(flexfec("00 00 0000 00000000 0064 0000")) == BadRepair::empty);
    CHECK(flex(flexfec("80 60 0064 00000000 112233")) == BadRepair::runt);  // the copy of less than a header
    CHECK(flex(hex("80 6e 0000 00000bb8 4b1ea5a5 40 00 0000 00000000 0064 04 00")) == BadRepair::empty);
    CHECK(flex(hex("82 6e 0000 00000bb8 4b1ea5a5 11223344 11223345 40 00 0000 00000000 0064 04 00 0064 04 00")) ==
          BadRepair::several);
    CHECK(rtp::fec::parse_flexfec(flexfec("40 00 0000 00000000 0064 04 00"), 111).error() == BadRepair::payload_type);
    CHECK(flex(hex("41 6e 0000 00000bb8 4b1ea5a5 11223344 40 00 0000 00000000 0064 04 00")) == BadRepair::version);

    const auto ulp = [](const Bytes& packet) { return rtp::fec::parse_ulpfec(packet, 122).error(); };
    CHECK(ulp(ulpfec("00 00 0064 00000000 0000 0000 80")) == BadRepair::runt);
    CHECK(ulp(ulpfec("40 00 0064 00000000 0000 0000 8000 8000")) == BadRepair::runt);
    CHECK(ulp(ulpfec("00 00 0064 00000000 0000 0003 8000 aabb")) == BadRepair::runt);  // protects more than there is
    CHECK(ulp(ulpfec("00 00 0064 00000000 0000 0000 0000")) == BadRepair::empty);
}

TEST_CASE("either of two packets is recovered by each form of their sum, and by its own copy", "[fec]") {
    const rtp::fec::Matrix row{.columns = 2, .column_repair = false};
    const Bytes after = media_packet(0x66, 0x1770, numbered(4));
    for (const Code& code : {Code{kFlexfec, row, false}, Code{kFlexfec, row, true}, Code{kUlpfec, row, false}}) {
        const Bytes repair = row_of_two(code);
        for (const bool first : {true, false}) {
            Decoder decoder(100);
            decoder.media(media_packet(0x63, 0, numbered(4)));
            decoder.media(hex(first ? kB : kA));
            decoder.media(after);
            decoder.repair(code.carriage, repair);
            const auto packet = decoder.recover();
            REQUIRE(packet);
            CHECK(Bytes(packet->begin(), packet->end()) == hex(first ? kA : kB));
            CHECK_FALSE(decoder.recover());
        }
    }
    Decoder decoder(100);
    decoder.media(hex(kA));
    decoder.media(after);
    decoder.repair(kFlexfec, hex("80 6e 0000 00000bb8 4b1ea5a5 " + std::string(kB)));  // R = 1, F = 0: as version 2
    const auto packet = decoder.recover();
    REQUIRE(packet);
    CHECK(Bytes(packet->begin(), packet->end()) == hex(kB));
    CHECK(decoder.counters().repair[static_cast<size_t>(Line::retransmission)].read() == 1);
    decoder.repair(kFlexfec, hex("80 6e 0000 00000bb8 4b1ea5a5 80e1 0067 00000bb8 99999999 01"));  // of another source
    CHECK_FALSE(decoder.recover());
    CHECK(decoder.counters().useless.read() == 1);
}

TEST_CASE("repair among the media takes numbers of theirs, and gives them back", "[fec]") {
    Encoder encoder({kAmong, {.columns = 2, .column_repair = false}, false}, 100);
    Decoder decoder(100);
    std::vector<unsigned> wire, out;
    Bytes original, recovered;
    for (unsigned n = 0xfffc; n < 0xfffc + 8; n++) {
        const Bytes packet = media_packet(n, n * 3000, numbered(20 + n % 5));
        const auto repair = encoder.protect(packet);
        Bytes sent = packet;
        sent[2] = static_cast<std::byte>(encoder.sequence() >> 8);
        sent[3] = static_cast<std::byte>(encoder.sequence() & 0xff);
        wire.push_back(encoder.sequence());
        if (n == 0xfffc + 4) original = packet;
        if (n != 0xfffc + 4) {
            decoder.media(sent);
            out.push_back(decoder.renumbered(encoder.sequence()));
        }
        if (!repair) continue;
        wire.push_back(at16(whole(*repair), 2));
        decoder.repair(kAmong, whole(*repair));
        while (const auto found = decoder.recover()) {
            const auto again = decoder.renumbered(*found);
            recovered.assign(again.begin(), again.end());
        }
    }
    std::vector<unsigned> in_order;
    for (unsigned n = 0xfffc; n < 0xfffc + 12; n++) in_order.push_back(n & 0xffff);
    CHECK(wire == in_order);
    CHECK(decoder.renumbers());
    CHECK(out == std::vector<unsigned>{0xfffc, 0xfffd, 0xfffe, 0xffff, 1, 2, 3});
    CHECK(recovered == original);
}
