#include "tally.hpp"

namespace penstock::gen {

Tally::Tally(const Plan& plan, uint64_t hertz, size_t max_legs)
    : plan_(plan), tick_(0x1p32 / static_cast<double>(hertz)), max_legs_(max_legs), streams_(plan.streams()) {
    for (uint32_t g = 0; g < plan_.groups.size(); g++) group_of_.insert(group_of_.end(), plan_.groups[g].count, g);
}

void Tally::received(std::span<const std::byte> frame, uint64_t now) {
    const auto datagram = read_frame(frame);
    if (!datagram || datagram->payload.size() < kRtpSize) {
        other_++;
        return;
    }
    const auto mark = Mark::read(datagram->payload.subspan(kRtpSize));
    if (!mark) {
        other_++;
        return;
    }
    if (mark->stream >= streams_.size()) {
        unwanted_++;
        return;
    }
    const LegKey key{mark->stream, datagram->to};
    auto leg = legs_.find(key);
    if (leg == legs_.end()) {
        if (legs_.size() >= max_legs_) {
            beyond_++;
            return;
        }
        leg = legs_.try_emplace(key).first;
    }
    media_++;
    leg->second.see(mark->number);
    if (!datagram->checksum_right || !is_intact(datagram->payload, group_of(mark->stream), *mark)) damaged_++;
    const auto stayed = now > mark->due ? static_cast<uint64_t>(static_cast<double>(now - mark->due) * tick_) : 0;
    latency_.add(stayed);
    streams_[mark->stream].latency.add(stayed);
}

std::vector<StreamTotals> Tally::totals() const {
    std::vector<StreamTotals> all(streams_.size());
    for (size_t s = 0; s < all.size(); s++) {
        all[s].sent = streams_[s].sent;
        all[s].latency = flow::Latency::of(streams_[s].latency);
    }
    for (const auto& [key, window] : legs_) {
        StreamTotals& stream = all[key.stream];
        stream.legs++;
        stream.received += window.fresh();
        stream.late += window.late();
        stream.duplicates += window.duplicates() + window.stale();
    }
    return all;
}

}  // namespace penstock::gen
