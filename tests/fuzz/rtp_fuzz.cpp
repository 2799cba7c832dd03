// Any datagram: a header that exists lies inside it, together with its padding. Whatever it carries, looking for a
// picture in it reads nothing beyond it. What is made of it to be sent again (RFC 4588) can be turned back.
#include "rtp/header.hpp"

#include <algorithm>
#include <array>

#include "expect.hpp"
#include "rtp/mux.hpp"
#include "rtp/picture.hpp"
#include "rtp/rtx.hpp"

using namespace penstock::rtp;

namespace {

void send_again(std::span<const std::byte> packet, const Header& header) {
    std::array<std::byte, 4096> sent, back;
    if (packet.size() + kRtxMore > sent.size()) return;
    const size_t size = write_rtx(sent.data(), packet, {97, 1}, 7);
    EXPECT(size == packet.size() + kRtxMore && Header::parse(std::span{sent}.first(size)));
    const auto read = read_rtx(back, std::span{sent}.first(size), {header.payload_type(), header.ssrc()});
    EXPECT(read && std::ranges::equal(*read, packet));
    // And as if it had been sent again itself.
    if (const auto other = read_rtx(back, packet, {96, 2}))
        EXPECT(Header::parse(*other) && other->size() + 2 == packet.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto datagram = input(data, size);
    const Protocol protocol = protocol_of(datagram);
    const auto header = Header::parse(datagram);
    if (!header) return 0;
    EXPECT(protocol == Protocol::rtp || protocol == Protocol::rtcp);
    EXPECT((protocol == Protocol::rtcp) ==
           (header->marker() && header->payload_type() >= 64 && header->payload_type() < 96));
    EXPECT(header->size() >= Header::kFixedSize && header->size() <= size && header->size() % 4 == 0);
    if ((data[0] & 0x20) != 0) EXPECT(data[size - 1] != 0 && header->size() + data[size - 1] <= size);
    const auto payload = datagram.subspan(header->size());
    for (const Codec codec : {Codec::h264, Codec::h265, Codec::av1}) {
        const Part part = part_of(codec, payload);
        EXPECT(begins_key_frame(codec, payload) == (part == Part::parameters || part == Part::key));
        EXPECT(part == Part::other || !payload.empty());
    }
    EXPECT(part_of(Codec::other, payload) == Part::other);
    send_again(datagram, *header);
    return 0;
}
