#pragma once
// Changes in the RTP header of a packet that arrived. Its UDP checksum is updated where the copies' are derived from it
// (RFC 1624), not in the header that nobody reads any more.
#include <rte_mbuf.h>

#include <cstdint>

#include "base/wire.hpp"
#include "flow/classify.hpp"

namespace penstock::dataplane {

inline void alter16(rte_mbuf* m, flow::Classified& in, size_t at, uint16_t now) noexcept {
    std::byte* const word = rte_pktmbuf_mtod_offset(m, std::byte*, in.payload_offset + at);
    const uint16_t before = wire::load16(word);
    wire::store16(word, now);
    if (in.udp_checksum == 0) return;
    uint32_t sum = uint32_t{static_cast<uint16_t>(~in.udp_checksum)} + static_cast<uint16_t>(~before) + now;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    in.udp_checksum = static_cast<uint16_t>(~sum);
    if (in.udp_checksum == 0) in.udp_checksum = 0xffff;
}

inline void renumber(rte_mbuf* m, flow::Classified& in, uint16_t sequence) noexcept { alter16(m, in, 2, sequence); }
inline void alter32(rte_mbuf* m, flow::Classified& in, size_t at, uint32_t now) noexcept {
    alter16(m, in, at, static_cast<uint16_t>(now >> 16));
    alter16(m, in, at + 2, static_cast<uint16_t>(now));
}
inline void set_ssrc(rte_mbuf* m, flow::Classified& in, uint32_t ssrc) noexcept { alter32(m, in, 8, ssrc); }

}  // namespace penstock::dataplane
