// The measuring stick: parse Ethernet, IPv4, UDP and RTP as far as forwarding needs, look destination address and port
// up, write one header an output, transmit. No statistics, no clock, no ledger, no MTU, no checksum of what arrives, no
// checksum in the UDP header of what leaves; but written with care, on the same pools and ports.
#include <rte_ethdev.h>
#include <rte_hash_crc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "base/wire.hpp"
#include "flow/leg.hpp"
#include "subject.hpp"

namespace penstock::bench {
namespace {

struct alignas(64) Leg {
    std::array<std::byte, kHeaders> header;
    uint16_t ip_sum;
};

struct Slot {
    uint64_t key = 0;  // address and port as they lie in the packet; 0: free
    uint32_t first_leg = 0;
    uint32_t legs = 0;
};

struct Seen {
    uint64_t key;
    uint16_t offset, size;  // of the UDP payload
};

class Floor final : public Subject {
public:
    Floor(const Stage& stage, const Load& load)
        : rx_(stage.rx()),
          tx_(stage.tx()),
          pools_(stage.pools()),
          share_(load.share),
          slots_(std::bit_ceil(size_t{load.flows} * 2)),
          mask_(slots_.size() - 1) {
        for (uint32_t f = 0; f < load.flows; f++) {
            std::array<std::byte, 6> key;
            std::ranges::copy(address_of(f).wire(), key.data());
            wire::store16(key.data() + 4, port_of(f));
            const uint64_t k = load_key(key.data(), key.data() + 4);
            size_t i = index(k);
            while (slots_[i].key != 0) i = (i + 1) & mask_;
            slots_[i] = {k, static_cast<uint32_t>(legs_.size()), load.fanout};
            for (uint32_t leg = 0; leg < load.fanout; leg++) {
                flow::LongHeaders none;
                const flow::Leg made = flow::make_leg(plan_of(f, leg), nullptr, none);
                Leg& l = legs_.emplace_back();
                std::memcpy(l.header.data(), made.header().data(), kHeaders);
                l.header[22] = std::byte{64};
                l.ip_sum = static_cast<uint16_t>(wire::sum16({&l.header[14], 20}));
            }
        }
    }
    bool accounts_for(uint64_t, uint32_t) const override { return true; }  // the tx port counts

    void turn() override {
        std::array<rte_mbuf*, kBurst> burst;
        std::array<Seen, kBurst> seen;
        std::array<const Slot*, kBurst> slots;
        const uint16_t n = rte_eth_rx_burst(rx_, 0, burst.data(), kBurst);
        for (unsigned i = 0; i < n; i++) {
            rte_prefetch0(rte_pktmbuf_mtod(burst[i], const void*));
            rte_mbuf_prefetch_part2(burst[i]);  // freeing reads it
        }
        for (unsigned i = 0; i < n; i++) {
            seen[i] = parse(rte_pktmbuf_mtod(burst[i], const std::byte*));
            rte_prefetch0(&slots_[index(seen[i].key)]);
        }
        for (unsigned i = 0; i < n; i++) {
            slots[i] = find(seen[i].key);
            rte_prefetch0(&legs_[slots[i]->first_leg]);
        }
        for (unsigned i = 0; i < n; i++) {
            const std::span legs{&legs_[slots[i]->first_leg], slots[i]->legs};
            if (seen[i].key == 0 || slots[i]->key == 0) {
                rte_pktmbuf_free(burst[i]);
            } else {
                send(burst[i], seen[i], legs);
            }
        }
        flush();
    }

private:
    static uint64_t load_key(const std::byte* address, const std::byte* port) {
        uint32_t a;
        uint16_t p;
        std::memcpy(&a, address, 4);
        std::memcpy(&p, port, 2);
        return a | uint64_t{p} << 32;
    }
    size_t index(uint64_t key) const { return rte_hash_crc_8byte(key, 0) & mask_; }
    const Slot* find(uint64_t key) const {
        size_t i = index(key);
        while (slots_[i].key != key && slots_[i].key != 0) i = (i + 1) & mask_;
        return &slots_[i];
    }
    static Seen parse(const std::byte* frame) {
        const std::byte* ip = frame + 14;
        const std::byte* udp = ip + 4 * (wire::load8(ip) & 0x0f);
        const bool rtp =
            wire::load16(frame + 12) == 0x0800 && wire::load8(ip + 9) == 17 && wire::load8(udp + 8) >> 6 == 2;
        return {rtp ? load_key(ip + 16, udp + 2) : 0, static_cast<uint16_t>(udp + 8 - frame),
                static_cast<uint16_t>(wire::load16(udp + 4) - 8)};
    }
    static void write(std::byte* to, const Leg& leg, uint16_t payload) {
        std::memcpy(to, leg.header.data(), kHeaders);
        const auto total = static_cast<uint16_t>(payload + 28);
        wire::store16(to + 16, total);
        wire::store16(to + 24, static_cast<uint16_t>(~wire::fold(uint64_t{leg.ip_sum} + total)));
        wire::store16(to + 38, static_cast<uint16_t>(payload + 8));
    }
    void send(rte_mbuf* m, const Seen& in, std::span<const Leg> legs) {
        const auto size = static_cast<uint16_t>(in.size + kHeaders);
        if (legs.size() > 1 && share_) return send_shared(m, in, legs);
        if (legs.size() > 1) copy(m, in, legs.first(legs.size() - 1));
        m->data_off = static_cast<uint16_t>(m->data_off + in.offset - kHeaders);
        m->pkt_len = m->data_len = size;
        write(rte_pktmbuf_mtod(m, std::byte*), legs.back(), in.size);
        add(m);
    }
    void send_shared(rte_mbuf* payload, const Seen& in, std::span<const Leg> legs) {
        payload->data_off = static_cast<uint16_t>(payload->data_off + in.offset);
        payload->pkt_len = payload->data_len = in.size;
        rte_mbuf_refcnt_set(payload, static_cast<uint16_t>(legs.size()));
        for_each_new(pools_.header, legs, [&](rte_mbuf* m, const Leg& leg) {
            m->data_len = kHeaders;
            m->pkt_len = static_cast<uint32_t>(kHeaders + in.size);
            m->nb_segs = 2;
            m->next = payload;
            write(rte_pktmbuf_mtod(m, std::byte*), leg, in.size);
        });
    }
    void copy(const rte_mbuf* from, const Seen& in, std::span<const Leg> legs) {
        const auto* payload = rte_pktmbuf_mtod_offset(from, const std::byte*, in.offset);
        for_each_new(pools_.packet, legs, [&](rte_mbuf* m, const Leg& leg) {
            m->pkt_len = m->data_len = static_cast<uint16_t>(kHeaders + in.size);
            auto* to = rte_pktmbuf_mtod(m, std::byte*);
            write(to, leg, in.size);
            std::memcpy(to + kHeaders, payload, in.size);
        });
    }
    void for_each_new(rte_mempool* pool, std::span<const Leg> legs, auto&& fill) {
        std::array<rte_mbuf*, kBurst> made;
        for (size_t done = 0; done < legs.size();) {
            const auto n = static_cast<unsigned>(std::min<size_t>(kBurst, legs.size() - done));
            if (rte_pktmbuf_alloc_bulk(pool, made.data(), n) != 0) rte_panic("the pool is empty\n");
            for (unsigned i = 0; i < n; i++) {
                fill(made[i], legs[done + i]);
                add(made[i]);
            }
            done += n;
        }
    }
    void add(rte_mbuf* m) {
        out_[waiting_] = m;
        if (++waiting_ == kBurst) flush();
    }
    void flush() {
        for (uint16_t sent = 0; sent < waiting_;)
            sent = static_cast<uint16_t>(sent +
                                         rte_eth_tx_burst(tx_, 0, &out_[sent], static_cast<uint16_t>(waiting_ - sent)));
        waiting_ = 0;
    }

    uint16_t rx_, tx_;
    dataplane::Pools pools_;
    bool share_;
    std::vector<Slot> slots_;
    uint64_t mask_;
    std::vector<Leg> legs_;
    uint16_t waiting_ = 0;
    std::array<rte_mbuf*, kBurst> out_;
};

}  // namespace

std::unique_ptr<Subject> make_floor(const Stage& stage, const Load& load) {
    return std::make_unique<Floor>(stage, load);
}

}  // namespace penstock::bench
