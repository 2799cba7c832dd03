#pragma once
// The header of one copy, from the leg's precomputed one and what is known of the arriving packet.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "base/wire.hpp"
#include "flow/classify.hpp"
#include "flow/leg.hpp"
#include "flow/train.hpp"

namespace penstock::flow {

// The one's-complement sum of the UDP payload, which all copies have in common: each leg adds its own header's sum.
struct PayloadSum {
    uint32_t sum = 0;    // not folded
    bool known = false;  // false: the sender sent no checksum, and an IPv4 copy carries none either
};

// Taken from the arriving checksum (RFC 1624 in effect: what the old header contributed is subtracted). No byte of the
// payload is touched. Right only where the arriving checksum is.
inline PayloadSum sum_from_checksum(std::span<const std::byte> frame, const Classified& in) noexcept {
    if (in.udp_checksum == 0) return {};
    const auto udp_size = static_cast<uint16_t>(in.payload_size + 8);
    const auto ports = frame.subspan(in.payload_offset - 8u).first<4>();
    const uint32_t addresses = in.v4 ? wire::sum16(frame.subspan(in.l3_offset + 12u).first<8>())
                                     : wire::sum16(frame.subspan(in.l3_offset + 8u).first<32>());
    const uint32_t header = addresses + wire::load16(&ports[0]) + wire::load16(&ports[2]) + 17 + 2u * udp_size;
    // 7 * 0xffff, a zero of this arithmetic, is more than the header's sum and the checksum together.
    return {7u * 0xffff - header - in.udp_checksum, true};
}

// Computed anew: where the arriving checksum may be a partial one that a NIC was expected to finish, or is absent and
// needed.
inline PayloadSum sum_from_payload(std::span<const std::byte> frame, const Classified& in) noexcept {
    return {wire::sum16(frame.subspan(in.payload_offset, in.payload_size)), true};
}

// Whether the copy fits the leg's MTU.
inline bool fits(const Leg& leg, const Classified& in) noexcept {
    return in.payload_size + leg.ip_overhead() <= leg.mtu;
}

// Writes the leg.header_size bytes before the payload at `to`.
inline void write_header(std::byte* to, const Leg& leg, const Classified& in, PayloadSum payload) noexcept {
    const auto udp_size = static_cast<uint16_t>(in.payload_size + 8);
    const uint8_t ttl = leg.ttl != 0 ? leg.ttl : in.ttl;
    const auto tos = static_cast<uint8_t>(leg.dscp == Leg::kKeep ? in.tos : leg.dscp << 2 | (in.tos & 3));
    if (leg.header_size == kUsualHeader) [[likely]] {
        std::memcpy(to, leg.bytes.data(), kUsualHeader);  // a constant size: a few moves
    } else {
        std::memcpy(to, leg.header().data(), leg.header_size);
    }
    std::byte* ip = to + leg.l3_offset;
    std::byte* udp = to + leg.header_size - 8;
    if (leg.v4()) [[likely]] {
        const auto total = static_cast<uint16_t>(udp_size + 20);
        ip[1] = std::byte{tos};
        wire::store16(ip + 2, total);
        ip[8] = std::byte{ttl};
        const uint32_t sum = uint32_t{leg.ip_sum} + total + tos + (uint32_t{ttl} << 8);
        wire::store16(ip + 10, static_cast<uint16_t>(~wire::fold(sum)));
    } else {
        wire::store16(ip, static_cast<uint16_t>(0x6000 | tos << 4));
        wire::store16(ip + 4, udp_size);
        ip[7] = std::byte{ttl};
    }
    wire::store16(udp + 4, udp_size);
    if (payload.known) {
        const auto sum = static_cast<uint16_t>(~wire::fold(uint64_t{leg.udp_sum} + 2u * udp_size + payload.sum));
        wire::store16(udp + 6, sum == 0 ? uint16_t{0xffff} : sum);  // RFC 768: a computed zero is sent as all ones
    }
}

// Of the UDP checksum the pseudo-header's part: who cuts the train completes it for each segment. `first`: its first
// packet.
inline void write_train_header(std::byte* to, const Leg& leg, Classified first, const Train& train) noexcept {
    first.payload_size = static_cast<uint16_t>(train.bytes());
    write_header(to, leg, first, {});
    const std::byte* const udp = to + leg.header_size - 8;
    // leg.udp_sum has the ports, too, of which each and its complement are a zero of this arithmetic.
    const uint32_t sum = uint32_t{leg.udp_sum} + static_cast<uint16_t>(~wire::load16(udp)) +
                         static_cast<uint16_t>(~wire::load16(udp + 2)) + first.payload_size + 8u;
    wire::store16(to + leg.header_size - 2, wire::fold(sum));
}

}  // namespace penstock::flow
