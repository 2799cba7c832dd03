#include "flow/table.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <unordered_set>

namespace penstock::flow {

Table::Shard::Shard(std::vector<FlowPtr> of) : flows(std::move(of)), slots(std::bit_ceil(flows.size() * 2 + 1)) {
    flows.shrink_to_fit();  // it is there for long
    // Narrower flows go in first, so that linear probing meets them first.
    std::ranges::sort(flows, std::ranges::greater{}, [](const FlowPtr& f) { return f->narrowness(); });
    const uint64_t mask = slots.size() - 1;
    for (const FlowPtr& flow : flows) {
        const uint64_t h = hash(flow->key);
        uint64_t i = h & mask;
        while (slots[i].flow != nullptr) i = (i + 1) & mask;
        slots[i] = {h, flow.get()};
    }
}

void Table::set(size_t index, std::shared_ptr<const Shard> shard) {
    if (!stopped_) views_[index] = view_of(*shard);
    shards_[index] = std::move(shard);
}

namespace {

size_t encoders_of(const Flow& flow) noexcept {
    return flow.kind == Kind::rtp && flow.has_fec && !flow.second_path ? flow.more->fec->repairs.size() : 0;
}

}  // namespace

void Table::note_served(const Flow& flow) {
    encoders_ += encoders_of(flow);
    if (flow.kind == Kind::rtp && flow.more->delay && !flow.second_path) delayed_.push_back(&flow);
    const bool joins = flow.more->late && !flow.more->late->joins.empty();
    if (flow.kind != Kind::rtp || (!joins && !flow.more->repetition)) return;
    const auto same_track = [&](const Flow* other) {
        return other->more->late == flow.more->late && other->more->repetition == flow.more->repetition;
    };
    if (std::ranges::none_of(served_, same_track)) served_.push_back(&flow);
}

void Table::set_stopped(bool stopped) noexcept {
    static constexpr Slot kNothing{};
    stopped_ = stopped;
    for (size_t i = 0; i < kShards; i++) views_[i] = stopped ? View{&kNothing, 0} : view_of(*shards_[i]);
}

Table::Table(PortRange media, std::span<const FlowPtr> flows) : media_(media), size_(flows.size()) {
    std::array<std::vector<FlowPtr>, kShards> parts;
    for (const FlowPtr& flow : flows) {
        parts[hash(flow->key) >> kShift].push_back(flow);
        note_served(*flow);
    }
    for (size_t i = 0; i < kShards; i++) set(i, std::make_shared<const Shard>(std::move(parts[i])));
}

std::unique_ptr<const Table> Table::with(std::span<const FlowPtr> added, std::span<const FlowPtr> removed) const {
    auto next = std::make_unique<Table>(*this);
    next->ending_.clear();
    std::map<size_t, std::vector<FlowPtr>> touched;
    std::unordered_set<const Flow*> gone;
    const auto part = [&](const FlowPtr& flow) -> std::vector<FlowPtr>& {
        const size_t index = hash(flow->key) >> kShift;
        return touched.try_emplace(index, shards_[index]->flows).first->second;
    };
    for (const FlowPtr& flow : removed) {
        part(flow);
        gone.insert(flow.get());
        next->encoders_ -= encoders_of(*flow);
    }
    for (auto& [index, flows] : touched) std::erase_if(flows, [&](const FlowPtr& f) { return gone.contains(f.get()); });
    for (auto* const list : {&next->served_, &next->delayed_})
        std::erase_if(*list, [&](const Flow* f) { return gone.contains(f); });
    for (const FlowPtr& flow : added) {
        part(flow).push_back(flow);
        next->note_served(*flow);
    }
    for (auto& [index, flows] : touched) {
        next->size_ += flows.size() - shards_[index]->flows.size();
        next->set(index, std::make_shared<const Shard>(std::move(flows)));
    }
    return next;
}

}  // namespace penstock::flow
