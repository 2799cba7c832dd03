// What the show commands tell of a small model.
#include "control/metrics/pulls.hpp"
#include "shown.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("show stream all sums a track's paths up", "[show]") {
    const Fixture f;
    const auto report = cli::show_streams(f.mesh, f.now + 2 * kSecond);
    REQUIRE(report.sections.size() == 1);
    const Section& s = report.sections[0];
    CHECK(s.key == "streams");
    REQUIRE(s.rows.size() == 2);
    CHECK(text(s, 0, "stream") == "camera");
    CHECK(text(s, 0, "track") == "video");
    CHECK(number(s, 0, "packets") == 4);
    CHECK(number(s, 0, "bytes") == 350);
    CHECK(number(s, 0, "lost") == 2);
    const auto& jitter = f.mesh.tracks()[0]->paths[0].state->reception.counters().jitter;
    REQUIRE(jitter.read() > 0);
    CHECK(std::get<double>(cell(s, 0, "jitter_ms")) ==
          Approx(static_cast<double>(jitter.read()) / 16 / 90));  // of 90 kHz
    CHECK(number(s, 0, "paths") == 2);
    CHECK(number(s, 0, "legs") == 2);
    CHECK(number(s, 0, "legs_ready") == 1);
    CHECK(number(s, 0, "worker") == f.mesh.tracks()[0]->owner);
    CHECK(text(s, 1, "track") == "audio");
    CHECK(number(s, 1, "legs") == 0);
}

TEST_CASE("show stream tells each path and leg, and why a leg is silent", "[show]") {
    const Fixture f;
    const auto report = cli::show_stream(f.mesh, f.camera(), f.now);
    REQUIRE(report.sections.size() == 5);
    const Section &paths = report.sections[0], &legs = report.sections[1];
    REQUIRE(paths.rows.size() == 3);
    CHECK(text(paths, 0, "path") == "1");
    CHECK(text(paths, 0, "source") == "10.0.0.1:20000");
    CHECK(number(paths, 0, "packets") == 3);
    CHECK(number(paths, 0, "lost") == 0);  // may still come
    CHECK(number(paths, 0, "rtcp_packets") == 2);
    CHECK(number(paths, 0, "ssrc") == 9);
    CHECK(text(paths, 1, "source") == "239.1.1.1:5004");
    CHECK(text(paths, 2, "track") == "audio");
    for (const char* key : {"reordered", "duplicate", "ssrc_changes", "restarts"}) CHECK(number(paths, 0, key) == 0);
    REQUIRE(legs.rows.size() == 2);
    CHECK(text(legs, 0, "leg") == "10.0.1.20:6000");
    CHECK(number(legs, 0, "packets") == 4);
    CHECK(number(legs, 0, "bytes") == 400);
    CHECK(number(legs, 0, "drops") == 11);
    CHECK(number(legs, 0, "rtcp_packets") == 1);
    CHECK(text(legs, 0, "port") == "nic");
    CHECK(text(legs, 0, "mac") == "02:00:00:00:00:20");
    CHECK(text(legs, 0, "source") == "10.0.1.1");
    CHECK(unknown(legs, 0, "why_not"));
    CHECK(unknown(legs, 1, "port"));
    CHECK(text(legs, 1, "why_not") == "no route");
}

TEST_CASE("show stream path tells where packets come in, go out, and how", "[show]") {
    Fixture f;
    auto report = cli::show_stream_path(f.mesh, f.camera(), f.port_facts(), f.worker_facts());
    REQUIRE(report.sections.size() == 2);
    const Section in = report.sections[0], out = report.sections[1];
    REQUIRE(in.rows.size() == 7);  // by any of three ports, by wan alone, and audio by any
    const uint16_t owner = f.mesh.tracks()[0]->owner;
    CHECK(text(in, 0, "port") == "lan");
    CHECK(number(in, 0, "worker") == owner);
    CHECK(number(in, 0, "core") == (owner == 0 ? 1 : 3));
    CHECK(text(in, 3, "path") == "2");
    CHECK(text(in, 3, "port") == "wan");
    CHECK(unknown(in, 0, "mode"));
    CHECK(unknown(in, 0, "why"));
    REQUIRE(out.rows.size() == 2);
    CHECK(text(out, 0, "port") == "nic");
    CHECK(text(out, 0, "driver") == "net_nic");
    CHECK(text(out, 0, "payload") == "shared");
    CHECK(unknown(out, 1, "payload"));
    CHECK(text(out, 1, "why") == "no route");

    f.mesh.resolve(way("10.0.1.20"), by(1));  // cannot chain buffers
    report = cli::show_stream_path(f.mesh, f.camera(), f.port_facts(), f.worker_facts());
    CHECK(text(report.sections[1], 0, "payload") == "copied");
    CHECK_THAT(text(report.sections[1], 0, "why"), Catch::Contains("cannot send chained buffers"));

    put(f.mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")})}));
    report = cli::show_stream_path(f.mesh, f.camera(), f.port_facts(), f.worker_facts());
    CHECK(text(report.sections[1], 0, "payload") == "in place");
}

TEST_CASE("show stream path says what keeps an arrival from being faster", "[show]") {
    const Fixture f;
    const uint16_t owner = f.mesh.tracks()[0]->owner;
    const auto other = static_cast<uint16_t>(1 - owner);
    const auto why = [&](auto&& change) {
        auto ports = f.port_facts();
        change(ports[0]);
        const auto report = cli::show_stream_path(f.mesh, f.camera(), ports, f.worker_facts());
        return unknown(report.sections[0], 0, "why") ? std::string() : text(report.sections[0], 0, "why");
    };
    using Facts = cli::PortFacts;
    CHECK(why([&](Facts& port) { port.info.rx_workers = {owner}; }).empty());
    CHECK_THAT(why([&](Facts& port) { port.info.rx_workers = {other}; }),
               Catch::Contains("worker " + std::to_string(other) + " polls the port"));
    CHECK_THAT(why([&](Facts& port) { port.info.rx_workers = {0, 1}; }), Catch::Contains("hash"));
    CHECK(why([&](Facts& port) {
              port.info.rx_workers = {0, 1};
              port.flow_rules = 2;
          }).empty());
    CHECK_THAT(why([&](Facts& port) { port.info.driver = flow::Driver::af_packet; }),
               Catch::Contains("copies every frame"));
    // Worker 1's core is on node 1; worker 0's is not known.
    const auto far = why([&](Facts& port) {
        port.info.rx_workers = {owner};
        port.numa_node = 0;
    });
    CHECK(far.empty() == (owner == 0));
    if (owner == 1) CHECK_THAT(far, Catch::Contains("NUMA node 0"));
}

TEST_CASE("show worker all and show drops tell the ledgers", "[show]") {
    const Fixture f;
    auto workers = f.worker_facts();
    auto report = cli::show_workers(f.mesh, workers);
    const Section& s = report.sections[0];
    CHECK(s.key == "workers");
    REQUIRE(s.rows.size() == 2);
    CHECK(number(s, 1, "worker") == 1);
    const Section& placement = report.sections[1];
    CHECK(placement.key == "placement");
    CHECK(number(placement, 1, "core") == 3);
    CHECK(unknown(placement, 0, "numa_node"));
    CHECK(number(placement, 1, "numa_node") == 1);
    CHECK(text(placement, 0, "queues") == "lan/0");
    CHECK(number(s, 1, "rx") == 10);
    CHECK(number(s, 1, "forwarded") == 7);
    CHECK(number(s, 1, "consumed") == 0);
    CHECK(number(s, 1, "drops") == 3);
    CHECK(number(s, 1, "tx_wanted") == 9);
    CHECK(number(s, 1, "sent") == 5);
    CHECK(number(s, 1, "tx_drops") == 4);
    CHECK(std::get<bool>(cell(s, 1, "balanced")));
    workers[1].ledger.rx++;
    CHECK_FALSE(std::get<bool>(cell(cli::show_workers(f.mesh, workers).sections[0], 1, "balanced")));

    workers[0].ledger[flow::Drop::no_flow] = 2;
    report = cli::show_drops(workers);
    const Section& drops = report.sections[0];
    REQUIRE(drops.rows.size() == 2);  // only what happened
    CHECK(text(drops, 0, "reason") == "no_flow");
    CHECK(number(drops, 0, "packets") == 5);
    CHECK(text(drops, 0, "of") == "arriving packets");
    CHECK(text(drops, 1, "reason") == "tx_full");
    CHECK(text(drops, 1, "of") == "copies");
}

TEST_CASE("show port tells what a port is and what its driver counts", "[show]") {
    const Fixture f;
    auto facts = f.port_facts();
    facts[0].steering = "native (driver veth)";
    facts[0].segmentation = "all tracks";
    facts[0].rx_queues = 2;
    facts[1].why_down = "interface eth1 is gone";
    facts[0].info.netdev = "eth0";
    facts[0].info.mtu = 1500;
    const auto report = cli::show_port_info(facts);
    const Section& info = report.sections[0];
    REQUIRE(info.rows.size() == 3);
    CHECK(text(info, 0, "port") == "lan");
    CHECK(text(info, 0, "state") == "up");
    CHECK(text(info, 1, "state") == "down: interface eth1 is gone");
    CHECK(text(info, 0, "driver") == "net_lan");
    CHECK(text(info, 0, "netdev") == "eth0");
    CHECK(unknown(info, 1, "netdev"));
    CHECK(number(info, 0, "mtu") == 1500);
    CHECK(number(info, 0, "rx_queues") == 2);
    CHECK(text(info, 0, "mode") == "native (driver veth)");
    CHECK(unknown(info, 0, "zero_copy"));
    CHECK(text(info, 0, "segmentation") == "all tracks");
    CHECK(unknown(info, 1, "segmentation"));
    CHECK_FALSE(std::get<bool>(cell(info, 0, "chained_buffers")));
    CHECK(std::get<bool>(cell(info, 2, "chained_buffers")));
    facts[0].device = "0000:03:10.0 8086:10ed (virtual function)";
    facts[0].firmware = "0.93";
    facts[0].offloads = "rx VLAN_STRIP UDP_CKSUM, tx MULTI_SEGS";
    facts[0].numa_node = 1;
    const std::string nic = cli::show_port_info(facts).text();
    for (const char* word : {"8086:10ed", "0.93", "UDP_CKSUM", "numa", "firmware", "offloads", "net_lan"})
        CHECK_THAT(nic, Catch::Contains(word));

    CHECK(cli::show_port_counters(facts, false).sections[0].rows.size() == 3);  // the usual ones
    const auto all = cli::show_port_counters(facts, true);
    REQUIRE(all.sections[0].rows.size() == 6);
    CHECK(text(all.sections[0], 1, "counter") == "rx_q0_errors");
    CHECK(number(all.sections[0], 1, "value") == 12);
}

TEST_CASE("show config tells what a file would say", "[show]") {
    const Fixture f;
    const auto report = cli::show_config(f.mesh);
    const Section& s = report.sections[0];
    REQUIRE(s.rows.size() == 5);  // three sources and two outputs
    CHECK(text(s, 0, "kind") == "source");
    CHECK(text(s, 0, "media") == "video");
    CHECK(number(s, 0, "payload_type") == 96);
    CHECK(text(s, 0, "encoding") == "H264/90000");
    CHECK(text(s, 1, "rtp") == "239.1.1.1:5004");
    CHECK(text(s, 1, "sender") == "10.0.0.8");
    CHECK(text(s, 1, "port") == "wan");
    CHECK(unknown(s, 1, "vlan"));
    CHECK(text(s, 3, "kind") == "output");
    CHECK(unknown(s, 2, "ttl"));
    CHECK(number(s, 3, "ttl") == 16);
    CHECK_FALSE(std::get<bool>(cell(s, 3, "rtcp_mux")));
    CHECK(unknown(s, 4, "payload_type"));
    CHECK(text(s, 4, "track") == "audio");
    CHECK(text(report.sections[1], 0, "forwarding") == "running");
    const Section& repair = report.sections[3];
    REQUIRE(repair.rows.size() == 1);
    CHECK(text(repair, 0, "key") == "skew");
    CHECK(text(repair, 0, "value") == "450 ms");
    CHECK(unknown(repair, 0, "rtp"));
    auto mesh = model();
    mesh.set_forwarding(false);
    CHECK(text(cli::show_config(mesh).sections[1], 0, "forwarding") == "stopped");
    CHECK(text(cli::show_workers(mesh, {}).sections.back(), 0, "forwarding") == "stopped");
}

TEST_CASE("show worker all and show stream tell how long packets stay", "[show]") {
    const Fixture f;
    flow::LatencyHistogram all;
    for (int i = 0; i < 1000; i++) all.add(kSecond / 100'000 * (i < 990 ? 1 : 10));  // 10 us, and 1% 100 us
    auto workers = f.worker_facts();
    workers[1].latency = flow::Latency::of(all);
    workers[1].stalled = true;
    const auto report = cli::show_workers(f.mesh, workers);
    CHECK_FALSE(std::get<bool>(cell(report.sections[0], 0, "stalled")));
    CHECK(std::get<bool>(cell(report.sections[0], 1, "stalled")));
    const Section& latency = report.sections[2];
    const auto us = [](const Section& s, size_t row, const std::string& key) {
        return std::get<double>(cell(s, row, key));
    };
    CHECK(number(latency, 1, "packets") == 1000);
    CHECK(us(latency, 1, "p50_us") == Approx(10));  // the bucket's end
    CHECK(us(latency, 1, "p99_us") == Approx(10));
    CHECK(us(latency, 1, "p999_us") == Approx(100).epsilon(1e-3));
    CHECK(us(latency, 1, "max_us") == Approx(100).epsilon(1e-3));
    CHECK(us(latency, 0, "p50_us") == 0);

    f.mesh.tracks()[0]->latency->add(kSecond / 1000);
    const auto stream = cli::show_stream(f.mesh, f.camera(), f.now);
    const Section& sampled = stream.sections[2];
    REQUIRE(sampled.rows.size() == 2);
    CHECK(text(sampled, 0, "track") == "video");
    CHECK(number(sampled, 0, "packets") == 1);
    CHECK(us(sampled, 0, "max_us") == Approx(1000).epsilon(1e-3));
    CHECK(number(sampled, 1, "packets") == 0);
}

TEST_CASE("cameras are shown without their passwords", "[show]") {
    auto mesh = model();
    config::Stream gate;
    gate.name = "gate";
    gate.rtsp = config::Pull{*config::location_of("rtsp://eve:sesame@10.0.0.7/live"), config::Reach::tcp, true};
    gate.tracks.emplace_back();
    gate.tracks[0].media = "video";
    gate.tracks[0].outputs = {to("10.0.1.20:6000")};
    REQUIRE(mesh.put(gate));
    const auto report = cli::show_config(mesh);
    REQUIRE(report.sections[0].rows.size() == 1);
    CHECK(text(report.sections[0], 0, "track") == "video");
    CHECK(text(report.sections[0], 0, "rtp") == "10.0.1.20:6000");
    CHECK(unknown(report.sections[0], 0, "encoding"));
    const Section& pulls = report.sections[2];
    REQUIRE(pulls.rows.size() == 1);
    CHECK(text(pulls, 0, "url") == "rtsp://10.0.0.7/live");
    CHECK(text(pulls, 0, "transport") == "tcp");
    CHECK(text(pulls, 0, "start") == "on_demand");
    CHECK(report.json().find("sesame") == std::string::npos);

    rtsp::PullFacts facts;
    CHECK(metrics::render(std::span<const metrics::PullOf>{}).empty());
    facts.state = "playing";
    facts.connects = 3;
    facts.failures[static_cast<size_t>(rtsp::Failure::closed)] = 2;
    const std::string all = metrics::render(std::vector<metrics::PullOf>{{"gate", facts, 2}});
    CHECK(all.find("penstock_rtsp_pull_playing{stream=\"gate\"} 1\n") != std::string::npos);
    CHECK(all.find("penstock_rtsp_pull_connects_total{stream=\"gate\"} 3\n") != std::string::npos);
    CHECK(all.find("penstock_rtsp_pull_failures_total{stream=\"gate\",reason=\"closed\"} 2\n") != std::string::npos);
    CHECK(all.find("penstock_rtsp_pull_unmet_tracks{stream=\"gate\"} 2\n") != std::string::npos);
}

TEST_CASE("show config tells what is asked for again, sent twice and waited for", "[show]") {
    auto mesh = model();
    auto source = from("10.0.0.1:20000");
    source.nack = config::Nack{.rtx = 97};
    auto output = to("10.0.1.20:6000");
    output.rtx = rtp::RtxStream{98, 0};
    output.duplicate_after = std::chrono::milliseconds(50);
    auto a = to("10.0.1.21:6000"), b = to("10.0.1.22:6000");
    a.live_live = b.live_live = 1;
    b.fec = config::OutputFec{.code = {}, .port = 2, .retransmission = true};
    auto one = track({source}, {output, a, b});
    one.delay = std::chrono::milliseconds(40);
    one.feedback = config::Feedback{256, 100};
    put(mesh, stream({one}));
    const Section s = cli::show_config(mesh).sections[3];
    std::vector<std::string> told;
    for (size_t i = 0; i < s.rows.size(); i++) told.push_back(text(s, i, "key") + ": " + text(s, i, "value"));
    CHECK(told == std::vector<std::string>{"nack: wait 10 ms, deadline 200 ms, budget 500, rtx 97",
                                           "rtx: payload type 98", "duplicate_after: 50 ms", "live_live: pair 1",
                                           "fec.retransmission: on", "live_live: pair 1", "delay: 40 ms",
                                           "feedback: retransmit 256, budget 100"});
}
