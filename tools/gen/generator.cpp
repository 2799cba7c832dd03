#include "generator.hpp"

#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>

namespace penstock::gen {
namespace {

constexpr uint16_t kFecPorts = 4;                                 // ST 2022-1: columns at + 2, rows at + 4
constexpr uint64_t kPathLoss = 1, kGarbage = 16, kWireLoss = 17;  // what chance is asked about

}  // namespace

Generator::Generator(const Plan& plan, const Link& link, const Length& length, uint64_t start, uint64_t hertz,
                     Tally& tally)
    : plan_(plan), link_(link), tally_(tally), start_(start), hertz_(static_cast<double>(hertz)) {
    uint32_t first_stream = 0;
    double longest_skew = 0;
    for (const Group& group : plan_.groups) {
        for (size_t p = 0; p < group.paths.size(); p++) {
            Lane& lane = lanes_.emplace_back(&group, p, first_stream, p == 0,
                                             Pace(group, group.paths[p], start, hertz, length.seconds));
            lane.pace.end_at(std::min(lane.pace.total(), length.packets));
            longest_skew = std::max(longest_skew, group.paths[p].skew);
        }
        first_stream += group.count;
    }
    // Who cannot keep up stops all the same: the rest was not offered.
    limit_ = start + static_cast<uint64_t>((length.seconds + longest_skew) * hertz_);
}

Generator::~Generator() { rte_pktmbuf_free_bulk(out_.data(), waiting_); }

uint64_t Generator::next_moment() const noexcept {
    uint64_t next = limit_;
    for (const Lane& lane : lanes_)
        if (!lane.pace.done()) next = std::min(next, lane.pace.moment());
    return next;
}

void Generator::send(uint64_t now) {
    if (waiting_ == 0 && !ended_) {
        // Beyond the limit the first paths end where they are, and those behind them send what was begun.
        if (now >= limit_)
            for (Lane& lane : lanes_)
                if (lane.leads)
                    for (Lane& other : lanes_)
                        if (other.group == lane.group) other.pace.end_at(lane.pace.packets());
        for (size_t i = 0; i < lanes_.size() && waiting_ < kBurst; i++) {
            Lane& lane = lanes_[(turn_ + i) % lanes_.size()];
            while (waiting_ < kBurst && lane.pace.due(now)) send_from(lane, now);
        }
        turn_++;
        ended_ = std::ranges::all_of(lanes_, [](const Lane& lane) { return lane.pace.done(); });
    }
    if (waiting_ != 0) {
        flush();
        last_ = now;
    }
}

void Generator::send_from(Lane& lane, uint64_t now) {
    const Group& group = *lane.group;
    const uint32_t in_group = lane.pace.stream();
    const uint32_t stream = lane.first_stream + in_group;
    const uint64_t number = lane.pace.number();
    const Endpoint to = group.destination(group.paths[lane.path], in_group);
    const Mark mark{stream, number, lane.pace.nominal()};
    if (lost(lane, lane.path, stream, number)) {
        so_far_.lost_on_path++;
    } else {
        const std::span frame = add_frame(size_of(group, stream, number));
        if (frame.empty()) return;  // no buffer: it stays due
        write_rtp(frame.subspan(kUdpHeaders), group, mark);
        add_headers(frame, group.from, to);
        so_far_.frames++;
        lateness_.add(static_cast<uint64_t>(static_cast<double>(now - lane.pace.moment()) / hertz_ * 0x1p32));
    }
    if (lane.leads) {
        if (!lost_on_all(lane, stream, number)) tally_.sent(stream);
        for (double more = group.garbage; more > 0; more--)
            if (chosen(kGarbage, stream, number * 128 + static_cast<uint64_t>(more), std::min(more, 1.0)))
                send_garbage(lane, stream, to, number);
    }
    lane.pace.advance();
}

void Generator::send_garbage(const Lane& lane, uint32_t stream, const Endpoint& to, uint64_t number) {
    if (waiting_ == out_.size()) return;  // a burst has room for as much garbage as media
    const Garbage garbage = garbage_for(*lane.group, stream, to, number);
    const std::span frame = add_frame(garbage.size);
    if (frame.empty()) return;
    std::ranges::copy(std::span(garbage.payload).first(garbage.size), frame.begin() + kUdpHeaders);
    add_headers(frame, lane.group->from, garbage.to);
    so_far_.garbage[garbage_kind(stream, number)]++;
}

bool Generator::lost(const Lane& lane, size_t path, uint32_t stream, uint64_t number) const noexcept {
    return chosen(kPathLoss + path, stream, number, lane.group->paths[path].loss);
}

bool Generator::lost_on_all(const Lane& lane, uint32_t stream, uint64_t number) const noexcept {
    for (size_t p = 0; p < lane.group->paths.size(); p++)
        if (!lost(lane, p, stream, number)) return false;
    return true;
}

std::span<std::byte> Generator::add_frame(size_t payload) {
    rte_mbuf* m = rte_pktmbuf_alloc(link_.pool);
    if (m == nullptr) return {};
    out_[waiting_++] = m;
    const size_t size = kUdpHeaders + payload;
    return {reinterpret_cast<std::byte*>(rte_pktmbuf_append(m, static_cast<uint16_t>(size))), size};
}

void Generator::add_headers(std::span<std::byte> frame, const Endpoint& from, const Endpoint& to) const noexcept {
    write_headers(frame, {link_.from_mac, to.ip.is_multicast() ? Mac::of_multicast(to.ip) : link_.to_mac, from, to});
}

void Generator::flush() {
    const uint16_t taken = rte_eth_tx_burst(link_.tx.ethdev, link_.tx.queue, out_.data(), waiting_);
    std::copy(out_.begin() + taken, out_.begin() + waiting_, out_.begin());
    waiting_ = static_cast<uint16_t>(waiting_ - taken);
}

bool Generator::receive(uint64_t now) {
    std::array<rte_mbuf*, kBurst> in;
    const uint16_t n = rte_eth_rx_burst(link_.rx.ethdev, link_.rx.queue, in.data(), kBurst);
    for (rte_mbuf* m : std::span(in).first(n)) {
        if (!plan_.wires.empty() && hand_on(m)) continue;
        tally_.received({rte_pktmbuf_mtod(m, const std::byte*), m->data_len}, now);
        rte_pktmbuf_free(m);
    }
    return n != 0;
}

const Wire* Generator::wire_for(const Endpoint& to) const noexcept {
    const auto found = std::ranges::find_if(plan_.wires, [&](const Wire& wire) {
        return wire.from.ip == to.ip && to.port >= wire.from.port && to.port - wire.from.port <= kFecPorts;
    });
    return found == plan_.wires.end() ? nullptr : &*found;
}

// In place: payload stays where it is, and the headers in front of it are as long as those it came with.
bool Generator::hand_on(rte_mbuf* m) {
    const std::span frame{rte_pktmbuf_mtod(m, std::byte*), m->data_len};
    const auto in = read_frame(frame);
    const Wire* wire = in ? wire_for(in->to) : nullptr;
    if (wire == nullptr) return false;
    if (chosen(kWireLoss, 0, so_far_.wired++, wire->loss)) {
        so_far_.lost_on_wire++;
        rte_pktmbuf_free(m);
        return true;
    }
    const auto size = static_cast<uint16_t>(kUdpHeaders + in->payload.size());
    m->pkt_len = m->data_len = size;
    add_headers(frame.first(size), plan_.groups.front().from,
                {wire->to.ip, static_cast<uint16_t>(wire->to.port + (in->to.port - wire->from.port))});
    // A few tries are enough for a network that loses packets anyhow; what does not leave is lost on it.
    for (int tries = 0; tries < 1000; tries++)
        if (rte_eth_tx_burst(link_.tx.ethdev, link_.tx.queue, &m, 1) == 1) return true;
    so_far_.lost_on_wire++;
    rte_pktmbuf_free(m);
    return true;
}

Sending Generator::sending_so_far() const {
    Sending all = so_far_;
    all.seconds = last_ > start_ ? static_cast<double>(last_ - start_) / hertz_ : 0;
    all.lateness = flow::Latency::of(lateness_);
    return all;
}

}  // namespace penstock::gen
