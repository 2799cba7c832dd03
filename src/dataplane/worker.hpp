#pragma once
// One worker: one core, one loop. rx burst -> classify -> find -> replicate -> tx burst. It alone writes the state of
// the tracks it owns; it never allocates (mbufs aside), locks, logs or calls the kernel while there is traffic.
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/counter.hpp"
#include "dataplane/idle.hpp"
#include "dataplane/port_set.hpp"
#include "dataplane/rcu.hpp"
#include "dataplane/segmenter.hpp"
#include "dataplane/trains.hpp"
#include "dataplane/turn_latency.hpp"
#include "dataplane/tx.hpp"
#include "flow/capture.hpp"
#include "flow/classify.hpp"
#include "flow/ledger.hpp"
#include "flow/rewrite.hpp"
#include "flow/table.hpp"
#include "rtp/clock.hpp"
#include "rtp/header.hpp"
#include "rtp/mux.hpp"

namespace penstock::dataplane {

// Of every flow of a burst, so many legs are fetched before its packet is replicated.
inline constexpr uint32_t kFetchedLegs = 16;

struct RxQueue {
    uint16_t ethdev = 0;
    uint16_t queue = 0;
    uint16_t port = 0;    // PortInfo::index
    uint16_t number = 0;  // among the port's rx queues
    bool up = true;       // the worker's own: see follow()
    bool partial_checksums = false;
    bool kernel_has_copy = false;  // af_packet: the kernel sees every frame too
    rte_ring* twin = nullptr;      // to the TAP twin; null: there is none
    // The NIC lets in the VLANs that it was asked for, and tells the tag of the VLAN that its physical function gave it
    // (`ip link set PF vf N vlan V`), too: which is not for us to see.
    bool tells_port_vlan = false;
    std::span<const uint16_t> vlans;  // that it was asked for; of the Port
    bool is_port_vlan(uint16_t tci) const noexcept {
        return tells_port_vlan && std::ranges::find(vlans, tci & 0xfff) == vlans.end();
    }
};

struct Pools {
    rte_mempool* packet = nullptr;  // whole packets: rx queues and copies
    rte_mempool* header = nullptr;  // headers in front of a shared payload
};

struct WorkerPlan {
    uint16_t id = 0;
    std::vector<RxQueue> rx;
    std::vector<TxBuffer> tx;  // by PortInfo::index
    // By PortInfo::index, null where the port has none; empty: no port has.
    std::vector<std::unique_ptr<Segmenter>> segmenters;
    std::vector<TxRelay> relays;     // tx queues that this worker owns and others use
    std::vector<rte_ring*> inboxes;  // by worker id: packets for the owner of a track
    std::vector<rte_ring*> shares;   // by worker id: packets for one who serves some of their legs
    std::vector<RxQueue> ports;      // by PortInfo::index: how packets from an inbox arrived; the last: by TCP
    rte_ring* ingest = nullptr;      // packets that arrived by TCP; null: there are none
    rte_ring* diversion = nullptr;   // to the thread that writes to viewers over TCP
    rte_ring* replies = nullptr;     // to control, for sources whose media came by TCP
    Pools pools;
    bool sleep_when_idle = false;
};

// The frame, or what is left of it. All of it lies in the first segment: others are refused on arrival.
inline std::span<const std::byte> bytes_of(const rte_mbuf* m) noexcept {
    return {rte_pktmbuf_mtod(m, const std::byte*), m->data_len};
}

// Leaves the payload alone in the mbuf. `needed`: even where the sender sent no checksum.
inline flow::PayloadSum unwrap(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, bool needed) noexcept {
    const bool anew = from.partial_checksums || (in.udp_checksum == 0 && needed);
    const auto sum = anew ? flow::sum_from_payload(bytes_of(m), in) : flow::sum_from_checksum(bytes_of(m), in);
    m->data_off = static_cast<uint16_t>(m->data_off + in.payload_offset);
    m->data_len = in.payload_size;
    m->pkt_len = in.payload_size;
    return sum;
}

// The workers' clock: seconds as 32.32 fixed point, from the TSC.
uint64_t clock_now() noexcept;

class Worker {
public:
    // `plan` says how the ports are until the first set of another generation than 0 is published in `ports`.
    Worker(Qsbr& qsbr, const Published<flow::Table>& table, const Published<flow::Capture>& capture,
           const Published<PortSet>& ports, WorkerPlan plan);

    void run(const std::atomic<bool>& stop) noexcept;  // until `stop`
    bool turn() noexcept;                              // one round; whether anything moved
    const flow::LedgerBoard& ledger() const noexcept { return board_; }
    const flow::LatencyHistogram& latency() const noexcept { return latency_.all(); }
    void wake() noexcept { idle_.wake(); }                     // control; as if it had slept long enough
    uint64_t turns() const noexcept { return turns_.read(); }  // anyone: it grows as long as the worker is alive
    uint16_t id() const noexcept { return plan_.id; }
    const std::vector<RxQueue>& rx() const noexcept { return plan_.rx; }

private:
    static constexpr uint16_t kBurst = 32;

    void follow(const PortSet& set) noexcept;
    void receive(const RxQueue& from, std::span<rte_mbuf*> burst) noexcept;
    void take(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void take_merged(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f,
                     const rtp::Header& header) noexcept;
    void use(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void take_other(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f,
                    rtp::Protocol protocol) noexcept;
    bool held_back(const RxQueue& from, rte_mbuf* m, const flow::Classified& in) noexcept;
    const flow::Flow* flow_by_ssrc(const rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) const noexcept;
    void no_flow(const RxQueue& from, rte_mbuf* m, const flow::Classified& in) noexcept;
    void punt(const RxQueue& from, rte_mbuf* m) noexcept;
    void drop(rte_mbuf* m, flow::Drop why, const flow::Flow* of = nullptr) noexcept;
    void hand_over(const RxQueue& from, rte_mbuf* m, const flow::Flow& f) noexcept;
    // `m` is about to leave: what is to be known or kept of it.
    void settle(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f, flow::Audience audience) noexcept;
    void replicate(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f,
                   flow::Audience audience = flow::Audience::all) noexcept;
    // The mbuf holds the payload alone: to the legs of the flow, whatever made it.
    void deliver(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f, flow::PayloadSum sum,
                 flow::Audience audience = flow::Audience::all) noexcept;
    // RTCP of a source: rtcp.cpp. `f`: Flow::of_rtcp().
    void replicate_rtcp(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f,
                        flow::Audience audience = flow::Audience::all) noexcept;
    void deliver_rtcp(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f, flow::PayloadSum sum,
                      flow::Audience audience) noexcept;
    void send_rtcp(rte_mbuf* payload, const flow::Classified& in, std::span<const flow::Leg> legs,
                   flow::PayloadSum sum) noexcept;
    void send_made_rtcp(const flow::Rendition& to, std::span<const std::byte> rtcp,
                        const flow::Classified& in) noexcept;
    // The same of a packet that was mended or has waited: it goes wherever one that arrives goes.
    void depart(rte_mbuf* m, std::span<const std::byte> packet, flow::Classified in, const flow::Flow& f,
                flow::PayloadSum sum) noexcept;
    void fan_out(rte_mbuf* m, const flow::Classified& in, std::span<const flow::Leg> legs, uint32_t shareable,
                 flow::PayloadSum sum) noexcept;
    void give_away(rte_mbuf* m, const flow::Classified& in, std::span<const flow::Leg> legs, uint32_t shareable,
                   flow::PayloadSum sum) noexcept;
    // To the legs of one shard, leaving the payload as it is.
    void send(rte_mbuf* payload, const flow::Classified& in, const flow::Rendition& rendition, const flow::Shard& shard,
              flow::PayloadSum sum, flow::Audience audience) noexcept;
    void send_in_place(rte_mbuf* m, const flow::Classified& in, const flow::Leg& leg, flow::PayloadSum sum) noexcept;
    void send_shared(rte_mbuf* payload, const flow::Classified& in, std::span<const flow::Leg> legs,
                     flow::PayloadSum sum) noexcept;
    void send_copies(rte_mbuf* payload, const flow::Classified& in, std::span<const flow::Leg> legs,
                     flow::PayloadSum sum) noexcept;
    // All packets that are there to all of the legs; each payload stays as it is.
    void send_each(rte_mbuf* payload, const flow::Classified& in, std::span<const flow::Leg> legs, uint32_t shareable,
                   flow::PayloadSum sum) noexcept;
    // What leaves at the end of the turn, as trains: trains.cpp.
    Segmenter* segmenter_of(const flow::Leg& leg) const noexcept { return plan_.segmenters[leg.tx_port].get(); }
    bool makes_trains(std::span<const flow::Leg> legs) const noexcept {
        if (plan_.segmenters.empty() || legs.empty()) [[likely]]
            return false;
        // Legs are in the order of what their ports can: one of the two tells of the whole, or nearly.
        for (const flow::Leg* leg : {&legs.front(), &legs.back()})
            if (const Segmenter* s = segmenter_of(*leg); s != nullptr && s->wants(legs.size())) return true;
        return false;
    }
    void gather(rte_mbuf* m, const flow::Classified& in, std::span<const flow::Leg> legs, uint32_t shareable,
                flow::PayloadSum sum) noexcept;  // takes the mbuf
    void send_trains() noexcept;
    void send_alone(Held& packet, const Trains::One& of) noexcept;
    void send_train(const Trains::One& one) noexcept;
    uint16_t allocate(rte_mempool* pool, std::span<rte_mbuf*> into) noexcept;
    // `payload` is null when there was no buffer even to make it.
    void refuse(std::span<const flow::Leg> legs, flow::Drop why, const rte_mbuf* payload, const flow::Classified& in,
                flow::PayloadSum sum) noexcept;
    // A packet for which there was no buffer: of all legs of the flow, whoever serves them.
    void refuse_all(const flow::Flow& f, const flow::Classified& in, flow::Audience audience) noexcept;
    // Legs that other workers serve: shares.cpp.
    void share_out(rte_mbuf* payload, const flow::Classified& in, const flow::Flow& f, flow::PayloadSum sum,
                   flow::Audience audience) noexcept;
    void serve_shares() noexcept;
    // FEC: fec.cpp.
    // Before packets of tracks with FEC have their turn: fec.cpp.
    void fetch_encoders(std::span<const flow::Flow* const> flows) const noexcept;
    void fetch_for_fec(const rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) const noexcept;
    void take_with_fec(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void leave(const RxQueue& from, rte_mbuf* m, flow::Classified in, const flow::Flow& f) noexcept;
    void take_other_type(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f,
                         const rtp::Header& header) noexcept;
    void take_repair(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void send_recovered(const flow::Classified& in, const flow::Flow& f) noexcept;
    void send_renumbered(const flow::Fec& fec, std::span<const std::byte> packet, const flow::Classified& in) noexcept;
    void send_renumbered_rtcp(const rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void send_repairs(const flow::Fec& fec, std::span<const std::optional<rtp::fec::Repair>> repairs,
                      const flow::Classified& in) noexcept;
    void send_made(const flow::Rendition& to, std::span<const std::byte> head, std::span<const std::byte> body,
                   const flow::Classified& in) noexcept;

    // One SSRC and one numbering for viewers, whatever the source does: continuity.cpp.
    flow::Audience go_on(rte_mbuf* m, flow::Classified& in, const flow::Flow& f, rtp::Continuity::Came came) noexcept;
    void go_on_with_rtcp(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void restarted(const flow::Flow& f) noexcept;
    rte_mbuf* copy_for_viewers(std::span<const std::byte> packet, const flow::Classified& in,
                               const flow::Flow& f) noexcept;
    void send_to_viewers(rte_mbuf* copy, const flow::Classified& like, const flow::Flow& f) noexcept;

    // Viewers that come late: late.cpp.
    void keep(std::span<const std::byte> packet, const flow::Classified& in, const flow::Flow& f,
              flow::Audience audience) noexcept;
    void serve_late() noexcept;
    unsigned serve_late(const flow::Flow& f, size_t join, unsigned most) noexcept;
    void send_kept(std::span<const std::byte> packet, const flow::Flow& f, size_t join) noexcept;
    unsigned repeat(const flow::Repetition& repetition, unsigned most) noexcept;  // repeat.cpp
    void repeat_rtcp(std::span<const std::byte> rtcp, const flow::Classified& in, const flow::Flow& f) noexcept;
    void nobody_else(rte_mbuf* m, const flow::Flow& f) noexcept;

    // Whatever mended it: to the legs and all else that a packet of the track that arrives goes to.
    void mend(const flow::Classified& in, const flow::Flow& f, std::span<const std::byte> packet) noexcept;

    // Tracks with a delay: reorder.cpp.
    flow::Reorder::Turn turn_of(std::span<const std::byte> packet, const flow::Flow& f) noexcept;
    bool in_turn(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    bool in_turn(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f, flow::PayloadSum sum) noexcept;
    void put_aside(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f, flow::PayloadSum sum) noexcept;
    void release(const flow::Flow& f) noexcept;
    void depart(const flow::Reorder::Packet& held, const flow::Flow& f) noexcept;
    void release_due() noexcept;

    // RTCP with receivers and sources, retransmission: feedback.cpp.
    void hear(const RxQueue& from, rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void answer_time(const RxQueue& from, const rte_mbuf* m, const flow::Classified& in,
                     const flow::Flow& track) noexcept;
    void send_one(const flow::Leg& leg, std::span<const std::byte> bytes) noexcept;
    void serve(std::span<const std::byte> rtcp, const flow::Flow& track, const flow::Receiver* receiver,
               flow::Feedback& feedback) noexcept;
    void resend(uint16_t sequence, uint32_t ssrc, const flow::Flow& track, const flow::Receiver& receiver) noexcept;
    void hold(rte_mbuf* m, std::span<const std::byte> packet, const flow::Classified& in, const flow::Flow& f) noexcept;
    void follow_numbers(std::span<const std::byte> packet, const flow::Flow& f) noexcept;
    void note_way(const RxQueue& from, const rte_mbuf* m, const flow::Classified& in, const flow::Flow& f,
                  uint16_t further) noexcept;
    void hear_source(const RxQueue& from, const rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void ask_key_frame(const flow::Flow& f) noexcept;
    void meet(const RxQueue& from, const rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void restate(rte_mbuf* m, flow::Classified& in, const flow::Flow& f) noexcept;
    void follow(const flow::Table& table) noexcept;
    void farewell(const flow::Flow& media) noexcept;
    void take_leave(const flow::Flow& f, uint32_t ssrc, flow::Audience audience) noexcept;
    void tick() noexcept;
    void look_at(std::span<const flow::FlowPtr> flows) noexcept;  // whether their sources are to be told
    template <class More>
    void tell(flow::PathState& path, More more) noexcept;
    void reply(const Endpoint& at, std::span<const std::byte> rtcp) noexcept;  // replies.cpp
    void take_rtx(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;

    // Of receivers that share a leg: group_feedback.cpp.
    void hear_in_group(rte_mbuf* m, const flow::Classified& in, const flow::Flow& f) noexcept;
    void read_in_group(std::span<const std::byte> rtcp, uint32_t from, const flow::Flow& track, flow::Participant& who,
                       flow::Feedback& all) noexcept;

    // Viewers over TCP: diversion.cpp.
    void divert(rte_mbuf* m, std::span<const std::byte> packet, const flow::Flow& f) noexcept;
    void divert_kept(std::span<const std::byte> packet, const flow::Flow& f) noexcept;

    // While a capture runs: capture.cpp.
    void follow(const flow::Capture& capture) noexcept;
    void capture_arrivals(std::span<rte_mbuf* const> burst, std::span<const flow::Classified> seen,
                          std::span<const flow::Flow* const> flows) noexcept;
    void capture_drop(const rte_mbuf* m, flow::Drop why, const flow::Flow* of) noexcept;
    void capture_refused(std::span<const flow::Leg> legs, flow::Drop why, const rte_mbuf* payload,
                         const flow::Classified& in, flow::PayloadSum sum) noexcept;

    Qsbr::Reader reader_;
    const Published<flow::Table>& published_;
    const Published<flow::Capture>& captures_;
    const Published<PortSet>& ports_;
    uint64_t generation_ = 0;  // of the port set that was followed last
    WorkerPlan plan_;
    const flow::Table* table_ = nullptr;  // of this turn
    const flow::Table* seen_ = nullptr;   // by follow()
    flow::CaptureTap* tap_ = nullptr;     // of this turn; null, as usual: nothing is captured
    uint64_t capture_ = 0;                // Capture::number that tap_ is of
    uint64_t now_ = 0;                    // clock_now() of this burst
    uint64_t next_tick_ = 0;
    size_t piece_ = 0;                               // of the table, that is looked at next
    uint64_t next_release_ = flow::Reorder::kNever;  // when packets that wait are to be looked at
    flow::Ledger ledger_;
    flow::LegState by_ourselves_;  // of RTCP to sources and answers to receivers, whose legs are in no table
    Trains trains_;
    TurnLatency latency_;
    Counter turns_;
    size_t late_turns_ = 0;  // who comes first changes
    bool moved_ = false;
    Idle idle_;
    flow::LedgerBoard board_;
};

}  // namespace penstock::dataplane
