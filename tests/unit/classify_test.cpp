// What a frame is: every verdict and every reason that classify() can give.
#include "flow/classify.hpp"

#include <catch2/catch.hpp>

#include "support/media.hpp"
#include "support/packet_builder.hpp"

using namespace penstock;
using namespace penstock::flow;
using namespace penstock::test;

namespace {

PacketBuilder v4() { return packet().ipv4("10.0.0.9", "10.0.0.1").udp(6000, 20000).payload(rtp_packet()); }
PacketBuilder v6() { return packet().ipv6("fd00::9", "fd00::1").udp(6000, 20000).payload(rtp_packet()); }
Bytes cut(const Bytes& from, size_t size) { return {from.begin(), from.begin() + static_cast<long>(size)}; }

}  // namespace

TEST_CASE("media has its key, its sizes and what a copy keeps", "[classify]") {
    struct Case {
        const char* what;
        PacketBuilder packet;
        uint16_t vlan, payload_offset;
    };
    const auto c = GENERATE(values<Case>({
        {"IPv4", v4(), 0, 42},
        {"IPv6", v6(), 0, 62},
        {"VLAN", v4().vlan(7), 7, 46},
        {"IPv6 in a VLAN", v6().vlan(4094), 4094, 66},
        {"a priority tag is no VLAN", v4().vlan(0xe000), 0, 46},
        {"nor is the priority part of the id", v4().vlan(0xb007), 7, 46},
        {"IPv4 options", v4().options(hex("94040000")), 0, 46},
        {"as many as there can be", v4().options(Bytes(40, std::byte{1})), 0, 82},
        {"Ethernet padding", v4().padding(13), 0, 42},
        {"IPv6 and padding", v6().padding(3), 0, 62},
        {"may be fragmented, is not", v4().fragment(0), 0, 42},
        {"the reserved flag is nothing", v4().fragment(0x8000), 0, 42},
        {"hop-by-hop options", v6().extension(0, hex("0000 0104 00000000")), 0, 70},
        {"a long routing header", v6().extension(43, hex("0001 0000 00000000 00000000 00000000")), 0, 78},
        {"destination options and routing",
         v6().extension(60, hex("0000 0104 00000000")).extension(43, hex("0000 0000 00000000")), 0, 78},
        {"an atomic fragment: RFC 6946", v6().extension(44, hex("0000 0000 12345678")), 0, 70},
        {"its length byte is reserved", v6().extension(44, hex("00ff 0006 12345678")), 0, 70},
    }));
    INFO(c.what);
    auto builder = c.packet;
    const Bytes frame = builder.ttl(33).tos(0xb9).build();
    const Classified in = classify(frame);
    REQUIRE(in.verdict == Verdict::media);
    CHECK(in.key == Key{ip(in.v4 ? "10.0.0.1" : "fd00::1"), 20000, c.vlan});
    CHECK(in.hash == hash(in.key));
    CHECK(sender_of(frame, in) == ip(in.v4 ? "10.0.0.9" : "fd00::9"));
    CHECK(in.l3_offset == builder.l3_offset());
    CHECK(in.payload_offset == c.payload_offset);
    CHECK(in.payload_size == 200);
    CHECK(in.udp_checksum == at16(frame, c.payload_offset - 2u));
    CHECK(in.ttl == 33);
    CHECK(in.tos == 0xb9);
}

TEST_CASE("an empty datagram and one without checksum are media", "[classify]") {
    const Classified empty = classify(v4().payload({}).build());
    CHECK(empty.verdict == Verdict::media);
    CHECK(empty.payload_size == 0);
    const Classified unsummed = classify(v4().no_checksum().build());
    CHECK(unsummed.verdict == Verdict::media);
    CHECK(unsummed.udp_checksum == 0);
}

TEST_CASE("what follows the UDP length within the datagram is not payload", "[classify]") {
    const Classified in = classify(v4().udp_length(108).build());
    CHECK(in.verdict == Verdict::media);
    CHECK(in.payload_size == 100);
}

TEST_CASE("what is no media says why", "[classify]") {
    struct Case {
        const char* what;
        Bytes frame;
        Verdict verdict;
        Drop drop;
    };
    const auto eight = [] {
        PacketBuilder p = v6();
        for (int i = 0; i < 8; i++) p.extension(60, hex("0000 0104 00000000"));
        return p;
    };
    const auto c = GENERATE_COPY(values<Case>({
        {"nothing", {}, Verdict::drop, Drop::runt},
        {"half an Ethernet header", cut(v4().build(), 13), Verdict::drop, Drop::runt},
        {"half a VLAN tag", cut(v4().vlan(7).build(), 17), Verdict::drop, Drop::runt},
        {"half an IPv4 header", cut(v4().build(), 33), Verdict::drop, Drop::runt},
        {"half an IPv6 header", cut(v6().build(), 53), Verdict::drop, Drop::runt},
        {"ARP", packet().ethertype(0x0806).payload(numbered(46)).build(), Verdict::kernel, Drop::not_ip},
        {"802.3 length", packet().ethertype(46).payload(numbered(46)).build(), Verdict::kernel, Drop::not_ip},
        {"two tags", packet().vlan(7).ethertype(0x8100).payload(numbered(46)).build(), Verdict::kernel, Drop::not_ip},
        {"TCP", v4().protocol(6).build(), Verdict::kernel, Drop::not_udp},
        {"ICMP", v4().protocol(1).build(), Verdict::kernel, Drop::not_udp},
        {"a fragment of TCP", v4().protocol(6).fragment(0x2000).build(), Verdict::kernel, Drop::not_udp},
        {"ICMPv6", v6().protocol(58).build(), Verdict::kernel, Drop::not_udp},
        {"MLD, behind hop-by-hop options", v6().protocol(58).extension(0, hex("0000 05020000 0100")).build(),
         Verdict::kernel, Drop::not_udp},
        {"ESP", v6().protocol(50).build(), Verdict::kernel, Drop::not_udp},
        {"version 6 in an IPv4 frame", v4().first_ip_byte(0x65).build(), Verdict::drop, Drop::ip_header},
        {"version 4 in an IPv6 frame", v6().first_ip_byte(0x40).build(), Verdict::drop, Drop::ip_header},
        {"a header of 16 bytes", v4().first_ip_byte(0x44).build(), Verdict::drop, Drop::ip_header},
        {"a header longer than all", v4().payload({}).first_ip_byte(0x4f).build(), Verdict::drop, Drop::ip_header},
        {"shorter than its header", v4().ip_length(19).build(), Verdict::drop, Drop::ip_header},
        {"longer than the frame", v4().ip_length(20 + 8 + 201).build(), Verdict::drop, Drop::ip_header},
        {"IPv6 longer than the frame", v6().ip_length(8 + 201).build(), Verdict::drop, Drop::ip_header},
        {"a wrong header checksum", v4().wrong_ip_checksum().build(), Verdict::drop, Drop::ip_checksum},
        {"a first fragment", v4().fragment(0x2000).build(), Verdict::drop, Drop::fragment},
        {"a middle fragment", v4().fragment(0x2001).build(), Verdict::drop, Drop::fragment},
        {"a last fragment", v4().fragment(0x1fff).build(), Verdict::drop, Drop::fragment},
        {"a first fragment of IPv6", v6().extension(44, hex("0000 0001 12345678")).build(), Verdict::drop,
         Drop::fragment},
        {"a last fragment of IPv6", v6().extension(44, hex("0000 0008 12345678")).build(), Verdict::drop,
         Drop::fragment},
        {"an extension beyond the end", v6().extension(60, hex("00ff 0104 00000000")).build(), Verdict::drop,
         Drop::ip_extensions},
        {"an extension that is cut", v6().ip_length(7).extension(60, hex("0000 0104 00000000")).build(), Verdict::drop,
         Drop::ip_extensions},
        {"nine extensions", eight().extension(60, hex("0000 0104 00000000")).build(), Verdict::drop,
         Drop::ip_extensions},
        {"half a UDP header", v4().ip_length(20 + 7).build(), Verdict::drop, Drop::udp_length},
        {"half a UDP header of IPv6", v6().ip_length(7).build(), Verdict::drop, Drop::udp_length},
        {"UDP shorter than its header", v4().udp_length(7).build(), Verdict::drop, Drop::udp_length},
        {"UDP longer than the packet", v4().udp_length(209).build(), Verdict::drop, Drop::udp_length},
        {"longer, but there is padding", v4().udp_length(209).padding(1).build(), Verdict::drop, Drop::udp_length},
        {"a jumbogram", v6().udp_length(0).build(), Verdict::drop, Drop::udp_length},
        {"IPv6 without checksum", v6().no_checksum().build(), Verdict::drop, Drop::udp_checksum_zero},
    }));
    INFO(c.what);
    const Classified in = classify(c.frame);
    CHECK(in.verdict == c.verdict);
    CHECK(name(in.drop) == name(c.drop));
    CHECK(classify(eight().build()).verdict == Verdict::media);  // eight is still allowed
}

TEST_CASE("a fragment keeps its destination: the kernel twin may want it", "[classify]") {
    CHECK(classify(v4().fragment(0x2000).build()).key.destination == ip("10.0.0.1"));
    CHECK(classify(v6().extension(44, hex("0000 0001 12345678")).build()).key.destination == ip("fd00::1"));
}

TEST_CASE("a frame that is cut anywhere is never media", "[classify]") {
    const auto whole = GENERATE(
        values<Bytes>({v4().build(), v6().build(), v4().vlan(7).build(), v4().options(hex("94040000")).build(),
                       v6().extension(0, hex("0000 0104 00000000")).extension(44, hex("0000 0000 12345678")).build()}));
    for (size_t size = 0; size < whole.size(); size++) {
        const Classified in = classify(cut(whole, size));
        INFO(size << " of " << whole.size() << ": " << name(in.drop));
        REQUIRE(in.verdict == Verdict::drop);
        REQUIRE((in.drop == Drop::runt || in.drop == Drop::ip_header));
    }
    CHECK(classify(whole).verdict == Verdict::media);
}
