// A part of Worker: of two sources that share an address (RFC 7198), whose packet it is.
#include "base/wire.hpp"
#include "dataplane/worker.hpp"
#include "rtp/mux.hpp"

namespace penstock::dataplane {

using flow::Classified;
using flow::Flow;

// Null: of neither.
const Flow* Worker::flow_by_ssrc(const rte_mbuf* m, const Classified& in, const Flow& f) const noexcept {
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    const flow::BySsrc& by = *f.more->by_ssrc;
    if (payload.size() < 12 || rtp::protocol_of(payload) != rtp::Protocol::rtp) {
        const bool second = payload.size() >= 8 && by.path_of(wire::load32(&payload[4])) == 1u;
        return by.flows[second ? 1 : 0];
    }
    // Repair and what is sent again have SSRCs of their own: their payload types tell them.
    const auto type = static_cast<uint8_t>(wire::load8(&payload[1]) & 0x7f);
    if (f.payload_type != Flow::kAnyPayloadType && type != f.payload_type) {
        const auto takes = [&](const Flow& path) {
            return (path.retransmits && path.more->retransmission->rtx[path.second_path] == type) ||
                   (path.has_fec && path.repair.payload_type == type);
        };
        return by.flows[!takes(*by.flows[0]) && takes(*by.flows[1]) ? 1 : 0];
    }
    const auto path = by.path_of(wire::load32(&payload[8]));
    return path ? by.flows[*path] : nullptr;
}

}  // namespace penstock::dataplane
