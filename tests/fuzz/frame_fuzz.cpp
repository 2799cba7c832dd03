// Any frame: what is called media lies inside it, and a copy's header has checksums that add up.
#include "flow/classify.hpp"

#include <array>

#include "expect.hpp"
#include "flow/rewrite.hpp"

using namespace penstock;
using namespace penstock::flow;

namespace {

Leg leg(const char* from, const char* to) {
    LegPlan plan;
    plan.hop.source = *Ip::parse(from);
    plan.hop.mtu = 1500;
    plan.to = {*Ip::parse(to), 6000};
    plan.from_port = 20000;
    static LongHeaders longer;
    return make_leg(plan, nullptr, longer);
}

// That the UDP checksum of header and payload is right; every sum here is of the bytes as they would leave.
void check_copy(const Leg& leg, std::span<const std::byte> frame, const Classified& in) {
    std::array<std::byte, kMaxHeader> header{};
    write_header(header.data(), leg, in, sum_from_payload(frame, in));
    const auto written = std::span{header}.first(leg.header_size);
    const auto ip = written.subspan(leg.l3_offset), udp = written.last(8);
    if (leg.v4()) EXPECT(wire::sum16(ip.first(20)) == 0xffff);
    const auto addresses = leg.v4() ? ip.subspan(12, 8) : ip.subspan(8, 32);
    const uint64_t sum = uint64_t{17} + in.payload_size + 8 + wire::sum16(addresses) + wire::sum16(udp) +
                         wire::sum16(frame.subspan(in.payload_offset, in.payload_size));
    EXPECT(wire::fold(sum) == 0xffff);
    EXPECT(wire::load16(&udp[6]) != 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Leg v4 = leg("10.0.1.1", "10.0.1.20"), v6 = leg("fd01::1", "fd01::20");
    if (size > 9000) return 0;
    const auto frame = input(data, size);
    const Classified in = classify(frame);
    EXPECT(in.drop < Drop::count_);
    if (in.verdict != Verdict::media) return 0;
    EXPECT(in.l3_offset == 14 || in.l3_offset == 18);
    EXPECT(in.payload_offset >= in.l3_offset + (in.v4 ? 28 : 48));
    EXPECT(size_t{in.payload_offset} + in.payload_size <= size);
    EXPECT(in.key.vlan < 4096);
    EXPECT(in.hash == hash(in.key));
    EXPECT(in.v4 || in.udp_checksum != 0);
    sender_of(frame, in);
    sum_from_checksum(frame, in);
    check_copy(v4, frame, in);
    check_copy(v6, frame, in);
    return 0;
}
