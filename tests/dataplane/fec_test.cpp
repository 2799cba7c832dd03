// FEC in the worker: repair packets made beside the media, and media made good from repair packets.
#include <catch2/catch.hpp>

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "dataplane/lab.hpp"
#include "support/dissect.hpp"
#include "support/media.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Drop;
using rtp::fec::Decoder;
using rtp::fec::Encoder;
using rtp::fec::Line;

namespace {

constexpr rtp::fec::Code kCode{{}, {.columns = 4, .rows = 4}};
constexpr uint16_t kIn = 0, kOut = 1;

Bytes media(unsigned sequence) {
    return rtp_packet({.sequence = sequence, .timestamp = sequence * 3000, .size = 100 + sequence % 3});
}
Bytes frame(const Bytes& payload, unsigned port = 20000) { return packet().udp(6000, port).payload(payload).build(); }
Bytes whole(const rtp::fec::Repair& repair) {
    Bytes packet(repair.head.span().begin(), repair.head.span().end());
    append(packet, repair.body);
    return packet;
}

Bytes without_time(Bytes packet) {
    std::fill(packet.begin() + 4, packet.begin() + 8, std::byte{0});
    return packet;
}

struct FecPlan {
    bool decode = false;
    std::vector<std::string> receivers = {};  // of repair; empty: none is made
    uint32_t shareable = 0;
};

struct FecState {
    std::shared_ptr<Decoder> decoder;
    std::shared_ptr<Encoder> encoder;
    std::vector<std::shared_ptr<flow::LegState>> columns, rows;
    std::shared_ptr<flow::Fec> fec = std::make_shared<flow::Fec>();

    explicit FecState(const FecPlan& plan) {
        if (plan.decode) decoder = std::make_shared<Decoder>(1472);
        fec->decoder = decoder.get();
        if (plan.receivers.empty()) return;
        encoder = std::make_shared<Encoder>(kCode, 1472);
        auto& made = fec->repairs.emplace_back();
        made.encoder = encoder.get();
        const auto build = [&](flow::OwnRendition& rendition, auto& states, unsigned further) {
            for (const std::string& receiver : plan.receivers) {
                flow::LegPlan leg = leg_to(receiver, kOut);
                leg.to.port = static_cast<uint16_t>(leg.to.port + further);
                states.push_back(std::make_shared<flow::LegState>());
                rendition.add(leg, states.back().get());
            }
            rendition.shards.push_back({0, 0, static_cast<uint32_t>(rendition.legs.size()), plan.shareable});
        };
        build(made.repair, columns, 2);
        build(made.rows, rows, 4);
    }
};

struct Out {
    unsigned port;
    Bytes payload;
    bool operator==(const Out&) const = default;
};
std::vector<Out> out(Lab& lab, unsigned worker = 0) {
    std::vector<Out> all;
    for (const Sent& sent : lab.sent(kOut, worker)) {
        const Dissected copy = dissect(sent.frame);
        REQUIRE(copy.lengths);
        REQUIRE(copy.ip_sum != Sum::wrong);
        REQUIRE(copy.udp_sum == Sum::right);
        all.push_back({copy.to_port, copy.payload});
    }
    return all;
}

}  // namespace

TEST_CASE("repair packets leave behind the media, for those who want them", "[fec]") {
    const std::string with = GENERATE(as<std::string>{}, "10.0.1.20:6000", "[fd01::20]:6000");
    const uint32_t shareable = GENERATE(0u, 2u);
    const bool two = GENERATE(false, true);
    Lab lab;
    FecPlan fec{.receivers = {with}, .shareable = two ? shareable : std::min(shareable, 1u)};
    if (two) fec.receivers.push_back("10.0.1.21:6000");
    const FecState state(fec);
    TrackPlan plan;
    plan.legs = {leg_to(with, kOut), leg_to("10.0.1.30:7000", kOut)};
    plan.fec = state.fec;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const flow::Ledger before = lab.ledger();

    Encoder model(kCode, 1472);
    std::vector<Out> expected;
    unsigned repairs = 0;
    for (unsigned n = 65520; n < 65520 + 60; n++) {  // the sequence wraps
        const Bytes packet = media(n & 0xffff);
        lab.arrive(frame(packet), kIn);
        expected.push_back({6000, packet});
        expected.push_back({7000, packet});
        const auto repair = model.protect(packet);
        if (!repair) continue;
        for (size_t i = 0; i < fec.receivers.size(); i++, repairs++)
            expected.push_back({repair->line == Line::row ? 6004u : 6002u, whole(*repair)});
    }
    lab.run();
    CHECK(out(lab) == expected);
    CHECK(repairs == (15 + 11) * fec.receivers.size());
    const flow::Ledger after = lab.ledger();
    CHECK(after.forwarded - before.forwarded == 60);
    CHECK(after.tx_wanted - before.tx_wanted == 120 + repairs);
    CHECK(after.sent - before.sent == 120 + repairs);
    CHECK(state.rows[0]->packets.read() == 15);
    CHECK(state.columns[0]->packets.read() == 11);
}

TEST_CASE("of many tracks, whose sums are fetched ahead, each gets repair of its own", "[fec]") {
    constexpr unsigned kTracks = 30;
    Lab lab;
    std::deque<FecState> states;
    std::vector<std::unique_ptr<Encoder>> models;
    std::vector<Track> tracks;
    std::vector<flow::FlowPtr> flows;
    for (unsigned t = 0; t < kTracks; t++) {
        states.emplace_back(FecPlan{.receivers = {"10.0.1.20:6000"}});
        models.push_back(std::make_unique<Encoder>(kCode, 1472));
        TrackPlan plan;
        plan.at.port = static_cast<uint16_t>(20000 + 10 * t);
        plan.legs = {leg_to("10.0.1.20:6000", kOut)};
        plan.fec = states.back().fec;
        tracks.push_back(make_track(plan));
        for (const flow::FlowPtr& flow : tracks.back().flows()) flows.push_back(flow);
    }
    const flow::Table table({}, flows);
    CHECK(table.encoders() == kTracks);
    const auto gone = tracks.front().flows();
    CHECK(table.with({}, gone)->encoders() == kTracks - 1);
    lab.publish(flows);

    std::vector<Out> expected, got;
    for (unsigned n = 0; n < 40; n++) {
        for (unsigned t = 0; t < kTracks; t++) {
            const Bytes packet = media(1000 * t + n);
            lab.arrive(frame(packet, 20000 + 10 * t), kIn);
            expected.push_back({6000, packet});
            if (const auto repair = models[t]->protect(packet))
                expected.push_back({repair->line == Line::row ? 6004u : 6002u, whole(*repair)});
        }
        lab.run();
        for (const Out& each : out(lab)) got.push_back(each);
    }
    CHECK(got == expected);
    CHECK(expected.size() == kTracks * (40 + 10 + 6));
}

TEST_CASE("what repair brings back goes to every leg, and a late original to none", "[fec]") {
    const bool spread = GENERATE(false, true);
    Lab lab({.workers = 2});
    const FecState state({.decode = true});
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", kOut), leg_to("10.0.1.21:7000", kOut)};
    if (spread) plan.shards = {{0, 0, 1, 0}, {1, 1, 1, 0}};
    plan.fec = state.fec;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const flow::Ledger before = lab.ledger();

    Encoder model(kCode, 1472);
    std::vector<Bytes> sent;
    unsigned repair_packets = 0;
    for (unsigned n = 0; n < 48; n++) {
        sent.push_back(media(n));
        const auto repair = model.protect(sent.back());
        if (n < 4 || n > 7) lab.arrive(frame(sent.back()), kIn);  // a whole row is lost
        if (!repair) continue;
        repair_packets++;
        // By the queue of the worker that does not own the track: it is handed over.
        lab.arrive(frame(whole(*repair), repair->line == Line::row ? 20004 : 20002), kIn, 1);
        lab.run();
    }
    lab.run();
    lab.arrive(frame(sent[5]), kIn);
    lab.run();
    std::map<unsigned, std::vector<Bytes>> received;
    for (const unsigned worker : {0u, 1u})
        for (const Out& copy : out(lab, worker)) received[copy.port].push_back(copy.payload);
    for (const unsigned port : {6000u, 7000u}) {
        auto& copies = received[port];
        std::ranges::sort(copies, {}, [](const Bytes& p) { return at16(p, 2); });
        CHECK(copies == sent);
    }
    const flow::Ledger after = lab.ledger();
    CHECK(after.repair - before.repair == repair_packets);
    CHECK(after.duplicate - before.duplicate == 1);
    CHECK(after.forwarded - before.forwarded == 44);
    CHECK(after.tx_wanted - before.tx_wanted == (spread ? 48 : 96));
    CHECK(state.decoder->counters().recovered.read() == 4);
    CHECK(track.path->reception.counters().packets.read() == 45);  // what came by the path, no more
    CHECK(track.legs[0]->packets.read() == 48);
}

namespace {

// A track that arrives on ports 20000, with repair, and 20100.
struct TwoPaths {
    Lab lab;
    FecState state{{.decode = true}};
    std::optional<Track> one, two;

    TwoPaths() {
        TrackPlan plan;
        plan.legs = {leg_to("10.0.1.20:6000", kOut)};
        plan.fec = state.fec;
        plan.merge = std::make_shared<flow::MergeState>();
        one = make_track(plan);
        plan.at.port = 20100;
        plan.second_path = true;
        two = make_track(plan);
        auto flows = one->flows();
        flows.push_back(two->rtp);
        lab.publish(flows);
    }
};

}  // namespace

TEST_CASE("what is lost on both paths but one of which brings repair is sent once", "[fec]") {
    TwoPaths paths;
    Lab& lab = paths.lab;
    Encoder model(kCode, 1472);
    std::vector<Bytes> sent;
    for (unsigned n = 0; n < 8; n++) {
        sent.push_back(media(n));
        const auto repair = model.protect(sent.back());
        if (n != 2) lab.arrive(frame(sent.back()), kIn);
        if (n != 2 && n != 3) lab.arrive(frame(sent.back(), 20100), kIn);
        if (repair) lab.arrive(frame(whole(*repair), 20004), kIn);
    }
    lab.run();
    std::vector<Bytes> received;
    const auto take = [&] {
        for (const Out& copy : out(lab)) received.push_back(copy.payload);
    };
    take();
    for (unsigned n = 8; n < 600; n++) {  // the second path lags by more than the decoder remembers
        sent.push_back(media(n));
        lab.arrive(frame(sent.back()), kIn);
        lab.run();
        take();
    }
    lab.arrive(frame(sent[2], 20100), kIn);
    lab.run();
    take();
    std::ranges::sort(received, {}, [](const Bytes& p) { return at16(p, 2); });
    CHECK(received == sent);
}

TEST_CASE("repair that comes late of a source that was left brings nothing back", "[fec]") {
    TwoPaths paths;
    Lab& lab = paths.lab;
    Encoder model(kCode, 1472);
    std::optional<Bytes> row;
    const auto both = [&](const Bytes& packet) {
        for (const unsigned port : {20000u, 20100u}) lab.arrive(frame(packet, port), kIn);
    };
    for (unsigned n = 0; n < 4; n++) {
        const auto repair = model.protect(media(n));
        if (repair) row = whole(*repair);
        if (n != 1) both(media(n));
    }
    REQUIRE(row);
    const Bytes anew = rtp_packet({.sequence = 500, .timestamp = 9'000'000, .ssrc = 77});
    const bool left = GENERATE(true, false);
    if (left) both(anew);
    lab.arrive(frame(*row, 20004), kIn);
    lab.run();
    std::vector<unsigned> numbers;
    for (const Out& copy : out(lab)) numbers.push_back(at16(copy.payload, 2));
    std::ranges::sort(numbers);
    CHECK(numbers == (left ? std::vector<unsigned>{0, 2, 3, 500} : std::vector<unsigned>{0, 1, 2, 3}));
}

TEST_CASE("repair and what it brings back take buffers: when there are none they are counted", "[fec]") {
    Lab lab({.mbufs = 512});
    const FecState state({.decode = true, .receivers = {"10.0.1.20:6000"}});
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", kOut)};
    plan.fec = state.fec;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    Encoder model(kCode, 1472);
    std::optional<Bytes> row;
    for (unsigned n = 0; n < 4; n++) {
        const auto repair = model.protect(media(n));
        if (repair) row = whole(*repair);
        if (n != 1) lab.arrive(frame(media(n)), kIn);
    }
    lab.arrive(frame(media(4)), kIn);
    REQUIRE(row);
    lab.arrive(frame(*row, 20004), kIn);
    std::vector<rte_mbuf*> all;
    while (rte_mbuf* m = rte_pktmbuf_alloc(lab.pools().packet)) all.push_back(m);
    lab.run();
    // Buffers of what was sent in place come back when the test takes them, not before.
    const flow::Ledger ledger = lab.ledger();
    CHECK(ledger[Drop::no_buffer] == 2);  // the packet that was recovered, and the repair that it made complete
    CHECK(track.legs[0]->drop(Drop::no_buffer).read() == 1);
    CHECK(state.rows[0]->drop(Drop::no_buffer).read() == 1);
    for (rte_mbuf* m : all) rte_pktmbuf_free(m);
}

TEST_CASE("repair among the media is taken out, made use of, and put in anew", "[fec]") {
    constexpr rtp::fec::Carriage kAmong{rtp::fec::Scheme::ulpfec, 122, true};
    constexpr rtp::fec::Code kRows{kAmong, {.columns = 4, .column_repair = false}};
    const bool plain = GENERATE(true, false);  // somebody gets the media as they were
    Lab lab;
    auto fec = std::make_shared<flow::Fec>();
    const auto decoder = std::make_shared<Decoder>(1472);
    const auto encoder = std::make_shared<Encoder>(kRows, 1472);
    flow::LegState media_state, repair_state;
    fec->decoder = decoder.get();
    fec->renumbers = true;
    auto& made = fec->repairs.emplace_back();
    made.encoder = encoder.get();
    flow::Sent sent;
    made.sent = &sent;
    const auto build = [&](flow::OwnRendition& rendition, flow::LegState& state) {
        rendition.add(leg_to("10.0.1.30:7000", kOut), &state);
        rendition.shards.push_back({0, 0, 1, 0});
    };
    build(made.repair, repair_state);
    build(made.media, media_state);
    TrackPlan plan;
    plan.payload_type = 96;
    if (plain) plan.legs = {leg_to("10.0.1.20:6000", kOut)};
    plan.fec = fec;
    plan.repair = kAmong;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    const flow::Ledger before = lab.ledger();

    Encoder sender(kRows, 1472);
    std::vector<Bytes> as_sent, on_the_wire;
    unsigned arrived = 0, repairs = 0;
    for (unsigned n = 65530; n < 65530 + 16; n++) {
        as_sent.push_back(media(n & 0xffff));
        const auto repair = sender.protect(as_sent.back());
        Bytes packet = as_sent.back();
        packet[2] = static_cast<std::byte>(sender.sequence() >> 8);
        packet[3] = static_cast<std::byte>(sender.sequence() & 0xff);
        on_the_wire.push_back(packet);
        if (n != 65530 + 6) {
            lab.arrive(frame(packet), kIn);
            arrived++;
        }
        if (!repair) continue;
        repairs++;
        on_the_wire.push_back(whole(*repair));
        lab.arrive(frame(on_the_wire.back()), kIn);
    }
    Bytes stray = media(3);
    stray[1] = std::byte{97};  // neither media nor repair
    lab.arrive(frame(stray), kIn);
    lab.run();
    std::map<unsigned, std::vector<Bytes>> received;
    for (const Out& copy : out(lab)) received[copy.port].push_back(copy.payload);
    const auto place = [](const Bytes& p) { return static_cast<uint16_t>(at16(p, 2) - 65530); };
    for (auto& [port, packets] : received) std::ranges::sort(packets, {}, place);
    CHECK(received[6000] == (plain ? as_sent : std::vector<Bytes>{}));
    // The repair of the row that lacked a packet carries the time at which it became complete.
    for (auto* packets : {&received[7000], &on_the_wire})
        for (Bytes& p : *packets)
            if ((at8(p, 1) & 0x7f) == 122) p = without_time(p);
    CHECK(received[7000] == on_the_wire);
    const flow::Ledger after = lab.ledger();
    CHECK(after.forwarded - before.forwarded == arrived);
    CHECK(after.repair - before.repair == repairs);
    CHECK(after[Drop::rtp_payload_type] - before[Drop::rtp_payload_type] == 1);
    const uint64_t copies = 16 * (plain ? 2 : 1) + repairs;
    CHECK(after.tx_wanted - before.tx_wanted == copies);
    CHECK(after.sent - before.sent == copies);
    CHECK(media_state.packets.read() == 16);
    CHECK(repair_state.packets.read() == repairs);
    CHECK(track.path->reception.counters().missing.read() == 1);  // repair is not missing
    CHECK(decoder->counters().recovered.read() == 1);
}

TEST_CASE("anything may come to a repair port", "[fec]") {
    Lab lab;
    const FecState state({.decode = true});
    TrackPlan plan;
    plan.legs = {leg_to("10.0.1.20:6000", kOut)};
    plan.fec = state.fec;
    const Track track = make_track(plan);
    lab.publish(track.flows());
    lab.arrive(frame(media(1)), kIn);
    lab.arrive(frame(hex("80e0 0000 00000000 00000000  0001 0000 80000000 00000000 40010a00"), 20004), kIn);
    lab.arrive(frame(hex("80ca 0000 00000000 00000000  0001 0000 80000000 00000000 40010a00"), 20004), kIn);  // PT 74
    lab.arrive(frame(media(1), 20004), kIn);
    lab.arrive(frame(sender_report(), 20002), kIn);
    lab.arrive(frame(hex("0001"), 20002), kIn);
    lab.arrive(frame({}, 20002), kIn);
    lab.run();
    CHECK(out(lab).size() == 1);
    const flow::Ledger ledger = lab.ledger();
    CHECK(ledger.repair == 4);
    CHECK(ledger[Drop::stun] == 1);
    CHECK(ledger[Drop::not_rtp] == 1);
    CHECK(state.decoder->counters().refused.read() == 2);
    CHECK(state.decoder->counters().repair[static_cast<size_t>(Line::row)].read() == 2);
}
