// The seventh part of Worker: RTCP of receivers that share a leg to a group. They send it to the group, or to where our
// sender reports come from. One set of counters stands for all of them; who is heard is noted for each.
#include <algorithm>

#include "dataplane/made.hpp"
#include "dataplane/worker.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"

namespace penstock::dataplane {

using flow::Drop;

namespace {

// Who speaks: the first SSRC of the first packet (RFC 3550 section 6.1, RFC 4585 section 6.1).
uint32_t ssrc_of(std::span<const std::byte> rtcp) noexcept { return rtcp.size() < 8 ? 0 : wire::load32(&rtcp[4]); }

}  // namespace

// What receivers of a group ask to be sent again, all would get: that is not done. A key frame is for all.
void Worker::hear_in_group(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept {
    const auto payload = bytes_of(m).subspan(in.payload_offset, in.payload_size);
    const flow::Watching& group = *f.more->watching;
    flow::Participant* const who = group.participants->find(flow::sender_of(bytes_of(m), in));
    if (who == nullptr) return drop(m, Drop::no_flow, &f);
    if (rtp::protocol_of(payload) != rtp::Protocol::rtcp || !rtp::valid_rtcp(payload))
        return drop(m, Drop::rtcp_invalid, &f);
    const uint32_t ssrc = ssrc_of(payload);
    ledger_.feedback++;
    if (who->heard(ssrc, now_)) {
        group.feedback->packets.add();
        if (const flow::Flow* const track = table_->find(group.track, group.track_sender, group.track_port))
            read_in_group(payload, ssrc, *track, *who, *group.feedback);
    }
    rte_pktmbuf_free(m);
}

// Loss on the way to the group is told by each of its receivers. Their sum would grow with their number: what counts is
// who lost most, and it does not fall when he leaves, as no counter does.
void Worker::read_in_group(std::span<const std::byte> rtcp, uint32_t from, const flow::Flow& track,
                           flow::Participant& who, flow::Feedback& all) noexcept {
    rtp::each_packet(rtcp, [&](const rtp::RtcpPacket& packet) {
        rtp::each_report(packet, [&](const rtp::ReportBlock& block) {
            if (block.ssrc != track.ssrc()) return;
            const auto lost = static_cast<uint64_t>(std::max(block.lost, 0));
            who.lost(from, lost);
            all.lost.set(std::max(all.lost.read(), lost));
            if (const auto away = track.path->upstream.reporter.round_trip(block, now_)) all.round_trip.set(*away);
        });
    });
    serve(rtcp, track, nullptr, all);
}

}  // namespace penstock::dataplane
