#pragma once
// Why a packet, or one copy of it, went no further. The names are the `reason` label of penstock_drops_total.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::flow {

enum class Drop : uint8_t {
    // An arriving packet: rx = forwarded + consumed + the sum of these.
    runt,               // shorter than the headers it announces
    not_ip,             // neither IPv4 nor IPv6, and no kernel twin to give it to
    not_udp,            // IP without UDP, and no kernel twin to give it to
    ip_header,          // version, header length or total length do not fit together
    ip_checksum,        // IPv4 header checksum is wrong
    ip_extensions,      // IPv6 extension headers that are malformed or too many
    fragment,           // IP fragment: RTP is sent unfragmented
    udp_length,         // UDP length does not fit the IP payload
    udp_checksum,       // the NIC says that the UDP checksum is wrong
    udp_checksum_zero,  // IPv6 with no UDP checksum (RFC 8200 section 8.1)
    segmented,          // spread over several mbufs: larger than a packet buffer
    no_flow,            // for a media port or address that no stream has as its source
    stun,               // RFC 7983: 0-3
    zrtp,               // RFC 7983: 16-19
    dtls,               // RFC 7983: 20-63
    turn_channel,       // RFC 7983: 64-79
    not_rtp,            // first byte belongs to none of these, nor to RTP version 2
    rtp_runt,           // shorter than the RTP header, its CSRC list or its extension
    rtp_padding,        // padding flag set, but the count does not fit
    rtp_payload_type,   // not the track's payload type
    rtcp_invalid,       // RFC 3550 appendix A.2
    rtcp_ssrc,          // of an SSRC of which no RTP came: viewers would take its time for that of what they see
    path_late,          // live-live, nack: the time was over, whether it had come otherwise or not
    path_apart,         // live-live: of another source, or another life of it, than what the other path brings
    delay_late,         // delay: it was waited for long enough, and later ones left
    stopped,            // a stream's packet while forwarding is stopped
    no_leg,             // the track has no output whose next hop is known
    handover_full,      // the ring to the worker that owns the track is full
    twin_full,          // the ring to the kernel twin is full
    // One copy of it: tx_wanted = sent + the sum of these.
    mtu,         // does not fit the egress
    no_buffer,   // the mbuf pool is empty
    tx_full,     // the tx queue, or the ring to the worker that owns it, is full
    port_down,   // the port's interface is gone
    shard_full,  // the ring to the worker that serves this leg is full, or no buffer was left to tell it
    too_slow,    // a viewer over TCP did not take it in time: counted for its leg alone, by the sender thread
    leg_gone,    // the leg was deleted while the packet was on its way to the worker that served it
    tcp_full,    // the ring to the thread that writes to viewers over TCP is full, or no buffer was left to tell it
    count_
};

inline constexpr size_t kDrops = static_cast<size_t>(Drop::count_);
inline constexpr Drop kFirstTxDrop = Drop::mtu;
inline constexpr Drop kLastLegDrop = Drop::too_slow;  // up to here they are counted leg by leg too

inline constexpr std::array<std::string_view, kDrops> kDropNames{
    "runt",          "not_ip",    "not_udp",       "ip_header",    "ip_checksum",
    "ip_extensions", "fragment",  "udp_length",    "udp_checksum", "udp_checksum_zero",
    "segmented",     "no_flow",   "stun",          "zrtp",         "dtls",
    "turn_channel",  "not_rtp",   "rtp_runt",      "rtp_padding",  "rtp_payload_type",
    "rtcp_invalid",  "rtcp_ssrc", "path_late",     "path_apart",   "delay_late",
    "stopped",       "no_leg",    "handover_full", "twin_full",    "mtu",
    "no_buffer",     "tx_full",   "port_down",     "shard_full",   "too_slow",
    "leg_gone",      "tcp_full"};
static_assert(!kDropNames.back().empty());

constexpr std::string_view name(Drop drop) { return kDropNames[static_cast<size_t>(drop)]; }

}  // namespace penstock::flow
