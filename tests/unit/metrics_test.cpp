// The exposition format of Prometheus (version 0.0.4), read back by a parser that takes nothing on trust.
#include "control/metrics/text.hpp"

#include <catch2/catch.hpp>

#include <cctype>
#include <map>
#include <set>
#include <sstream>

#include "support/packet_builder.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr uint64_t kSecond = uint64_t{1} << 32;

struct Text {
    std::map<std::string, std::string> types;    // by family
    std::map<std::string, std::string> samples;  // by name{labels}, as written
    double value(const std::string& sample) const {
        INFO(sample);
        REQUIRE(samples.contains(sample));
        return std::stod(samples.at(sample));
    }
};

bool is_name(std::string_view s) {
    return !s.empty() && std::isdigit(static_cast<unsigned char>(s[0])) == 0 &&
           std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

// From behind the name to the value: {a="b",...} with \\, \" and \n as the only escapes.
size_t after_labels(const std::string& line, size_t at) {
    if (line[at] != '{') return at;
    for (at++; line[at] != '}';) {
        const size_t equals = line.find('=', at);
        REQUIRE(equals != std::string::npos);
        REQUIRE(is_name(std::string_view{line}.substr(at, equals - at)));
        REQUIRE(line[equals + 1] == '"');
        for (at = equals + 2; line[at] != '"'; at++) {
            REQUIRE(at < line.size());
            if (line[at] != '\\') continue;
            at++;
            REQUIRE((line[at] == '\\' || line[at] == '"' || line[at] == 'n'));
        }
        if (line[++at] == ',') at++;
        REQUIRE(at < line.size());
    }
    return at + 1;
}

Text parse(const std::string& text) {
    Text out;
    std::set<std::string> helped;
    std::string family;
    REQUIRE(text.ends_with("\n"));
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        std::istringstream words{line};
        std::string mark, kind, name, type;
        if (line.starts_with("# ")) {
            words >> mark >> kind >> name >> type;
            REQUIRE(is_name(name));
            REQUIRE(name.starts_with("penstock_"));
            if (kind == "HELP") {
                REQUIRE(helped.insert(name).second);  // each family once, and so its samples stand together
                REQUIRE_FALSE(type.empty());
            } else {
                REQUIRE(kind == "TYPE");
                REQUIRE(helped.contains(name));
                REQUIRE((type == "counter" || type == "gauge" || type == "histogram"));
                REQUIRE((type == "counter") == name.ends_with("_total"));
                REQUIRE(out.types.emplace(name, type).second);
                family = name;
            }
            continue;
        }
        const size_t end = line.find_first_of("{ ");
        REQUIRE(end != std::string::npos);
        const std::string sampled = line.substr(0, end);
        if (out.types[family] == "histogram")
            REQUIRE((sampled == family + "_bucket" || sampled == family + "_sum" || sampled == family + "_count"));
        else
            REQUIRE(sampled == family);
        const size_t value = after_labels(line, end);
        REQUIRE(line[value] == ' ');
        REQUIRE_NOTHROW(std::stod(line.substr(value + 1)));
        REQUIRE(out.samples.emplace(line.substr(0, value), line.substr(value + 1)).second);
    }
    return out;
}

// One stream with one track, by two paths, to two receivers, of whom one can be reached.
struct Fixture {
    Fixture() {
        config::Track track;
        track.media = "video";
        track.sources.resize(2);
        track.sources[0].rtp = endpoint("10.0.0.1:20000");
        track.sources[1].rtp = endpoint("10.0.0.1:20010");
        track.outputs.resize(2);
        track.outputs[0].rtp = endpoint("10.0.1.20:6000");
        track.outputs[1].rtp = endpoint("[fd01::21]:6000");
        REQUIRE(mesh.put({"camera-1", {}, {track}}));
        mesh.resolve({ip("10.0.1.20"), {}}, {flow::NextHop{}, ""});
        mesh.compile();
    }
    metrics::View view() const { return {.version = "1.2.3", .node = "edge-1", .mesh = mesh, .now = now}; }
    Text text() const { return parse(metrics::render(view())); }
    mesh::Mesh mesh{std::vector<flow::PortInfo>(1), {20000, 29999}, 1};
    uint64_t now = 100 * kSecond;
};

}  // namespace

TEST_CASE("an idle forwarder's text parses and names itself", "[metrics]") {
    const Text text = Fixture{}.text();
    CHECK(text.value("penstock_build_info{version=\"1.2.3\",node=\"edge-1\"}") == 1);
    CHECK(text.value("penstock_leg_ready{stream=\"camera-1\",track=\"video\",leg=\"10.0.1.20:6000\"}") == 1);
    CHECK(text.value("penstock_leg_ready{stream=\"camera-1\",track=\"video\",leg=\"[fd01::21]:6000\"}") == 0);
    CHECK(text.value("penstock_path_packets_total{stream=\"camera-1\",track=\"video\",path=\"2\"}") == 0);
}

TEST_CASE("paths and legs tell what was counted", "[metrics]") {
    Fixture f;
    auto& track = *f.mesh.tracks()[0];
    auto& reception = track.paths[1].state->reception;
    const auto arrive = [&](uint16_t sequence, uint32_t at) {
        reception.receive(sequence, sequence * 3000u, 9, 1000, f.now, at, 90000);
    };
    arrive(1, 3000);
    arrive(2, 6000 + 1440);  // 16 ms late
    arrive(5, 15000 + 1440);
    arrive(4, 12000 + 1440);
    arrive(4, 12000 + 1440);
    track.paths[1].state->rtcp_packets.add(3);
    track.outputs[0].state->packets.add(4);
    track.outputs[0].state->bytes.add(4096);
    track.outputs[0].state->rtcp_packets.add(2);
    track.outputs[0].state->drop(flow::Drop::mtu).add(5);
    track.outputs[0].state->drop(flow::Drop::mtu).add(6);
    const Text text = f.text();
    const auto path = [&](const std::string& name) {
        return text.value("penstock_path_" + name + "{stream=\"camera-1\",track=\"video\",path=\"2\"}");
    };
    const auto leg = [&](const std::string& name, const std::string& more = "") {
        return text.value("penstock_leg_" + name + "{stream=\"camera-1\",track=\"video\",leg=\"10.0.1.20:6000\"" +
                          more + "}");
    };
    CHECK(path("packets_total") == 5);
    CHECK(path("bytes_total") == 5000);
    CHECK(path("lost_packets_total") == 0);
    CHECK(path("duplicate_packets_total") == 1);
    CHECK(path("reordered_packets_total") == 1);
    CHECK(path("rtcp_packets_total") == 3);
    CHECK(path("jitter_seconds") == Approx(static_cast<double>(reception.counters().jitter.read()) / 16 / 90000));
    CHECK(path("jitter_seconds") > 0.0005);
    CHECK(leg("packets_total") == 4);
    CHECK(leg("bytes_total") == 4096);
    CHECK(leg("rtcp_packets_total") == 2);
    CHECK(leg("drops_total", ",reason=\"mtu\"") == 11);
    CHECK(leg("drops_total", ",reason=\"tx_full\"") == 0);
}

TEST_CASE("ledgers, ports and twins", "[metrics]") {
    const Fixture f;
    auto view = f.view();
    view.workers.resize(2);
    view.workers[1].turns = 99;
    view.workers[1].stalled = true;
    view.pools = {{"packets", 100, 4096}};
    auto& ledger = view.workers[1].ledger;
    ledger.rx = 10;
    ledger.forwarded = 1;
    ledger.handed_over = 2;
    ledger.punted = 3;
    ledger.left_to_kernel = 4;
    ledger.duplicate = 5;
    ledger.tx_wanted = 7;
    ledger.sent = 6;
    ledger[flow::Drop::no_flow] = 8;
    view.ports = {{"lan", true, {{"rx_good_packets", 11}, {"rx_q0.errors", 12}, {"rx_q0_errors", 30}}},
                  {"wan", false, {{"rx_good_packets", 13}}}};
    view.twins = {{"wan", 14, 15}};
    view.table_pending = 3;
    const Text text = parse(metrics::render(view));
    CHECK(text.value("penstock_worker_rx_packets_total{worker=\"1\"}") == 10);
    CHECK(text.value("penstock_worker_rx_packets_total{worker=\"0\"}") == 0);
    CHECK(text.value("penstock_worker_forwarded_packets_total{worker=\"1\"}") == 1);
    CHECK(text.value("penstock_worker_consumed_packets_total{worker=\"1\",as=\"handed_over\"}") == 2);
    CHECK(text.value("penstock_worker_consumed_packets_total{worker=\"1\",as=\"punted\"}") == 3);
    CHECK(text.value("penstock_worker_consumed_packets_total{worker=\"1\",as=\"left_to_kernel\"}") == 4);
    CHECK(text.value("penstock_worker_consumed_packets_total{worker=\"1\",as=\"duplicate\"}") == 5);
    CHECK(text.value("penstock_worker_tx_wanted_packets_total{worker=\"1\"}") == 7);
    CHECK(text.value("penstock_worker_sent_packets_total{worker=\"1\"}") == 6);
    CHECK(text.value("penstock_drops_total{worker=\"1\",reason=\"no_flow\"}") == 8);
    CHECK(text.value("penstock_worker_ledger_balanced{worker=\"0\"}") == 1);
    CHECK(text.value("penstock_worker_ledger_balanced{worker=\"1\"}") == 0);
    for (size_t d = 0; d < flow::kDrops; d++)  // every reason is there from the start
        text.value("penstock_drops_total{worker=\"0\",reason=\"" + std::string{flow::kDropNames[d]} + "\"}");
    CHECK(text.value("penstock_port_up{port=\"lan\"}") == 1);
    CHECK(text.value("penstock_port_up{port=\"wan\"}") == 0);
    CHECK(text.value("penstock_port_rx_good_packets_total{port=\"lan\"}") == 11);
    CHECK(text.value("penstock_port_rx_good_packets_total{port=\"wan\"}") == 13);
    CHECK(text.value("penstock_port_rx_q0_errors_total{port=\"lan\"}") == 42);  // one name
    CHECK(text.value("penstock_port_twin_lost_packets_total{port=\"wan\",direction=\"to_kernel\"}") == 14);
    CHECK(text.value("penstock_port_twin_lost_packets_total{port=\"wan\",direction=\"from_kernel\"}") == 15);
    CHECK(text.value("penstock_port_up{port=\"lan\"}") == 1);
    CHECK(text.value("penstock_port_up{port=\"wan\"}") == 0);
    CHECK(text.value("penstock_worker_turns_total{worker=\"1\"}") == 99);
    CHECK(text.value("penstock_worker_stalled{worker=\"0\"}") == 0);
    CHECK(text.value("penstock_worker_stalled{worker=\"1\"}") == 1);
    CHECK(text.value("penstock_mempool_free{pool=\"packets\"}") == 100);
    CHECK(text.value("penstock_mempool_size{pool=\"packets\"}") == 4096);
    CHECK(text.value("penstock_table_pending{}") == 3);
}

TEST_CASE("the time in a worker is a histogram whose buckets add up", "[metrics]") {
    const Fixture f;
    flow::LatencyHistogram latency;
    const uint64_t microsecond = kSecond / 1'000'000 + 1;
    latency.add(microsecond / 2, 5);
    latency.add(3 * microsecond, 2);
    latency.add(kSecond, 1);  // beyond the last bound
    auto view = f.view();
    view.workers.resize(1);
    view.workers[0].latency = flow::Latency::of(latency);
    const Text text = parse(metrics::render(view));
    const auto below = [&](const std::string& bound) {
        return text.value("penstock_forward_latency_seconds_bucket{worker=\"0\",le=\"" + bound + "\"}");
    };
    CHECK(below("1e-06") == 5);
    CHECK(below("2e-06") == 5);
    CHECK(below("4e-06") == 7);
    CHECK(below("0.016384") == 7);
    CHECK(below("+Inf") == 8);
    CHECK(text.value("penstock_forward_latency_seconds_count{worker=\"0\"}") == 8);
    CHECK(text.value("penstock_forward_latency_seconds_sum{worker=\"0\"}") == Approx(1.0000085).epsilon(1e-6));
}

TEST_CASE("a track's sampled times are a coarser histogram, once there are some", "[metrics]") {
    const Fixture f;
    const std::string name = "penstock_track_latency_seconds", labels = "{stream=\"camera-1\",track=\"video\"";
    CHECK_FALSE(f.text().samples.contains(name + "_count" + labels + "}"));
    f.mesh.tracks()[0]->latency->add(3 * kSecond / 1'000'000);
    const Text text = f.text();
    CHECK(text.value(name + "_bucket" + labels + ",le=\"1e-06\"}") == 0);
    CHECK_FALSE(text.samples.contains(name + "_bucket" + labels + ",le=\"2e-06\"}"));
    CHECK(text.value(name + "_bucket" + labels + ",le=\"4e-06\"}") == 1);
    CHECK(text.value(name + "_bucket" + labels + ",le=\"+Inf\"}") == 1);
    CHECK(text.value(name + "_sum" + labels + "}") == Approx(3e-6).epsilon(1e-3));
    CHECK(text.value(name + "_count" + labels + "}") == 1);
}

TEST_CASE("a hole is no loss while it can still be filled, unless the path fell silent", "[metrics]") {
    rtp::Reception reception;
    const uint64_t last = 50 * kSecond;
    reception.receive(1, 0, 9, 100, last, 0, 90000);
    reception.receive(4, 0, 9, 100, last, 0, 90000);
    CHECK(metrics::lost(reception.counters(), last) == 0);
    CHECK(metrics::lost(reception.counters(), last + kSecond / 2) == 0);
    CHECK(metrics::lost(reception.counters(), last + 2 * kSecond) == 2);
    // A packet that came after the clock was read for this scrape.
    CHECK(metrics::lost(reception.counters(), last - 1) == 0);
}

TEST_CASE("what left the window is lost at once", "[metrics]") {
    rtp::Reception reception;
    reception.receive(1, 0, 9, 100, 0, 0, 90000);
    reception.receive(1000, 0, 9, 100, 0, 0, 90000);
    CHECK(metrics::lost(reception.counters(), 0) == 998 - 127);
    CHECK(metrics::lost(reception.counters(), 2 * kSecond) == 998);
}

TEST_CASE("FEC is told by track and by leg", "[metrics]") {
    config::Track track;
    track.media = "video";
    track.sources.resize(1);
    track.sources[0].rtp = endpoint("10.0.0.1:20000");
    track.sources[0].fec = config::SourceFec{};
    track.outputs.resize(2);
    track.outputs[0].rtp = endpoint("10.0.1.20:6000");
    track.outputs[1].rtp = endpoint("10.0.1.21:6000");
    track.outputs[1].fec = config::OutputFec{};
    mesh::Mesh mesh{std::vector<flow::PortInfo>(1), {20000, 29999}, 1};
    REQUIRE(mesh.put({"camera-1", {}, {track}}));
    const auto& made = *mesh.tracks()[0];
    made.outputs[1].extras().repair->packets.add(3);
    made.outputs[1].extras().rows->packets.add(4);
    made.outputs[1].extras().rows->drop(flow::Drop::mtu).add(5);
    made.extras().decoder->repair({}, hex("8060 0000 00000000 00000000  0001 0000 80000000 00000000 40010a00"));
    metrics::View view{.version = "1", .node = "n", .mesh = mesh};
    view.workers.resize(1);
    view.workers[0].ledger.repair = 6;
    view.ingest = {11, 12, 13, 14, 15};
    const Text text = parse(metrics::render(view));
    const std::string of = "stream=\"camera-1\",track=\"video\"";
    CHECK(text.value("penstock_track_recovered_packets_total{" + of + ",by=\"fec\"}") == 0);
    CHECK(text.value("penstock_track_unrecovered_packets_total{" + of + "}") == 0);
    CHECK(text.value("penstock_track_repair_packets_total{" + of + ",line=\"row\"}") == 1);
    CHECK(text.value("penstock_track_repair_packets_total{" + of + ",line=\"column\"}") == 0);
    CHECK(text.value("penstock_leg_repair_packets_total{" + of + ",leg=\"10.0.1.21:6000\"}") == 7);
    CHECK_FALSE(text.samples.contains("penstock_leg_repair_packets_total{" + of + ",leg=\"10.0.1.20:6000\"}"));
    CHECK(text.value("penstock_leg_drops_total{" + of + ",leg=\"10.0.1.21:6000\",reason=\"mtu\"}") == 5);
    CHECK(text.value("penstock_worker_consumed_packets_total{worker=\"0\",as=\"repair\"}") == 6);
    CHECK(text.value("penstock_ingest_packets_total{}") == 11);
    CHECK(text.value("penstock_ingest_bytes_total{}") == 12);
    CHECK(text.value("penstock_ingest_drops_total{reason=\"too_long\"}") == 13);
    CHECK(text.value("penstock_ingest_drops_total{reason=\"no_buffer\"}") == 14);
    CHECK(text.value("penstock_ingest_drops_total{reason=\"ring_full\"}") == 15);
}

TEST_CASE("a track that asks its source is live-live only with two paths", "[metrics]") {
    const size_t paths = GENERATE(1, 2);
    config::Track track;
    track.media = "video";
    track.sources.resize(paths);
    track.sources[0].rtp = endpoint("10.0.0.1:20000");
    if (paths == 2) track.sources[1].rtp = endpoint("10.0.0.1:20010");
    track.sources[0].nack = config::Nack{};
    mesh::Mesh mesh{std::vector<flow::PortInfo>(1), {20000, 29999}, 1};
    REQUIRE(mesh.put({"camera-1", {}, {track}}));
    metrics::View view{.version = "1", .node = "n", .mesh = mesh};
    view.workers.resize(1);
    const Text text = parse(metrics::render(view));
    const std::string of = "stream=\"camera-1\",track=\"video\"";
    CHECK(text.value("penstock_track_unrecovered_packets_total{" + of + "}") == 0);
    CHECK(text.value("penstock_track_recovered_packets_total{" + of + ",by=\"nack\"}") == 0);
    for (const std::string& name :
         {"track_recovered_packets_total{" + of + ",by=\"path\"}", "path_first_packets_total{" + of + ",path=\"1\"}",
          "path_skew_seconds{" + of + ",path=\"1\"}", "track_source_lives_total{" + of + "}"})
        CHECK(text.samples.contains("penstock_" + name) == (paths == 2));
}

TEST_CASE("a track with a delay tells what waits, and what was not waited for", "[metrics]") {
    config::Track track;
    track.media = "video";
    track.sources.resize(1);
    track.sources[0].rtp = endpoint("10.0.0.1:20000");
    track.delay = std::chrono::milliseconds(50);
    mesh::Mesh mesh{std::vector<flow::PortInfo>(1), {20000, 29999}, 1};
    REQUIRE(mesh.put({"camera-1", {}, {track}}));
    flow::Reorder& reorder = *mesh.tracks()[0]->extras().reorder;
    const auto leave = [](const flow::Reorder::Packet&) {};
    for (const uint16_t n : std::initializer_list<uint16_t>{1, 3, 3000})
        if (reorder.arrived(n, 7, 0, 0, leave) == flow::Reorder::Turn::waits) reorder.hold({}, 0, [](void*) {});
    metrics::View view{.version = "1", .node = "n", .mesh = mesh};
    view.workers.resize(1);
    view.workers[0].ledger.delayed = 2;
    const Text text = parse(metrics::render(view));
    const std::string of = "{stream=\"camera-1\",track=\"video\"}";
    CHECK(text.value("penstock_track_delayed_packets" + of) == 1);
    CHECK(text.value("penstock_track_reordered_packets_total" + of) == 1);
    CHECK(text.value("penstock_track_late_packets_total" + of) == 0);
    CHECK(text.value("penstock_track_passed_over_packets_total" + of) == 2486);
    CHECK(text.value("penstock_track_delay_cut_short_total" + of) == 1);
    CHECK(text.value("penstock_worker_consumed_packets_total{worker=\"0\",as=\"delayed\"}") == 2);
}
