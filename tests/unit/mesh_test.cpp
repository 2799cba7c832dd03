// The model: which flows and legs a configuration means.
#include "mesh_cases.hpp"

using namespace penstock;
using namespace penstock::test;
using flow::Kind;

TEST_CASE("a track becomes a flow for RTP and one for RTCP on the next port", "[mesh]") {
    auto mesh = model();
    auto t = track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")});
    t.payload_type = 96;
    t.clock_rate = 48000;
    put(mesh, stream({t}));
    mesh.resolve(way("10.0.1.20"), by(0));
    const auto table = mesh.compile();
    REQUIRE(table);
    CHECK(table->size() == 1);
    CHECK(table->media().first == 20000);
    CHECK(table->media().last == 29999);
    const auto* rtp = arriving(*table, "10.0.0.1:20000");
    REQUIRE(rtp);
    CHECK(rtp->kind == Kind::rtp);
    CHECK(arriving(*table, "10.0.0.1:20001") == nullptr);
    CHECK(arriving_rtcp(*table, "10.0.0.1:20001") == rtp);
    CHECK(arriving_rtcp(*table, "10.0.0.1:20002") == nullptr);
    CHECK(rtp->of_rtcp().kind == Kind::rtcp);
    CHECK(rtp->payload_type == 96);
    CHECK(rtp->clock_rate == 48000);
    CHECK(rtp->merge == nullptr);
    CHECK(rtp->path == mesh.tracks()[0]->paths[0].state.get());
    REQUIRE(rtp->leg_count == 1);
    CHECK(rtp->legs[0].state == mesh.tracks()[0]->outputs[0].state.get());
    CHECK(udp_port(rtp->legs[0], true) == 6000);
    CHECK(udp_port(rtp->legs[0], false) == 20000);  // symmetric RTP
    CHECK(rtcp_port(rtp->legs[0], true) == 6001);
    CHECK(rtcp_port(rtp->legs[0], false) == 20001);
    CHECK(arriving(*table, "10.0.0.1:20002") == nullptr);
    CHECK(arriving(*table, "10.0.0.2:20000") == nullptr);
    CHECK(mesh.compile() == nullptr);  // nothing changed
}

TEST_CASE("with rtcp_mux the receiver's RTCP goes to the RTP port", "[mesh]") {
    auto mesh = model();
    auto output = to("10.0.1.20:6000");
    output.rtcp_mux = true;
    put(mesh, stream({track({from("10.0.0.1:20000")}, {output})}));
    mesh.resolve(way("10.0.1.20"), by(0));
    const auto table = mesh.compile();
    const auto* rtp = arriving_rtcp(*table, "10.0.0.1:20001");
    REQUIRE(rtp->leg_count == 1);
    CHECK(rtcp_port(rtp->legs[0], true) == 6000);
    CHECK(rtcp_port(rtp->legs[0], false) == 20000);
}

TEST_CASE("an output's TTL, DSCP and VLAN reach its leg", "[mesh]") {
    auto mesh = model();
    auto output = to("239.2.2.2:5004");
    output.ttl = 16;
    output.dscp = 0;
    output.vlan = 7;
    output.port = "wan";
    put(mesh, stream({track({from("10.0.0.1:20000")}, {output, to("10.0.1.20:6000")})}));
    CHECK(mesh.take_destinations().wanted ==
          std::vector<flow::Destination>{way("10.0.1.20"), {ip("239.2.2.2"), uint16_t{1}}});
    mesh.resolve({ip("239.2.2.2"), uint16_t{1}}, by(1));
    mesh.resolve(way("10.0.1.20"), by(1));
    const auto table = mesh.compile();
    const auto* flow = arriving(*table, "10.0.0.1:20000");
    REQUIRE(flow->leg_count == 2);
    CHECK(flow->legs[0].ttl == 16);
    CHECK(flow->legs[0].dscp == 0);
    CHECK(flow->legs[0].header_size == 46);
    CHECK(flow->legs[0].tx_port == 1);
    CHECK(flow->legs[0].mtu == 1400);
    CHECK(flow->legs[1].ttl == 0);
    CHECK(flow->legs[1].dscp == flow::Leg::kKeep);
    CHECK(flow->legs[1].header_size == 42);
    CHECK(at8(flow->legs[1].header(), 11) == 1);  // from the MAC of port 1
}

TEST_CASE("only outputs whose next hop is known have a leg", "[mesh]") {
    auto mesh = model();
    put(mesh,
        stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000"), to("10.0.1.21:6000"), to("10.0.1.20:7000")})}));
    CHECK(mesh.take_destinations().wanted.size() == 2);  // each is asked for once
    auto table = mesh.compile();
    REQUIRE(table);
    CHECK(arriving(*table, "10.0.0.1:20000")->leg_count == 0);
    CHECK_FALSE(mesh.resolution(way("10.0.1.20")).why_not.empty());

    mesh.resolve(way("10.0.1.20"), by(0));
    table = mesh.compile();
    CHECK(arriving(*table, "10.0.0.1:20000")->leg_count == 2);

    mesh.resolve(way("10.0.1.20"), {{}, "neighbour does not answer"});
    mesh.resolve(way("10.0.1.21"), by(0));
    table = mesh.compile();
    const auto* flow = arriving(*table, "10.0.0.1:20000");
    REQUIRE(flow->leg_count == 1);
    CHECK(flow->legs[0].state == mesh.tracks()[0]->outputs[1].state.get());
    CHECK(mesh.resolution(way("10.0.1.20")).why_not == "neighbour does not answer");

    mesh.resolve(way("10.0.1.20"), {{}, "no route"});  // another reason for the same silence
    mesh.resolve(way("10.0.1.21"), by(0));             // the same answer
    mesh.resolve(way("10.7.7.7"), by(0));              // nobody's
    CHECK(mesh.compile() == nullptr);
    CHECK(mesh.resolution(way("10.0.1.20")).why_not == "no route");
}

TEST_CASE("what is written with every packet begins a cache line", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.1:6000"), to("10.0.1.2:6000")})}));
    mesh.resolve(way("10.0.1.1"), by(0));
    mesh.resolve(way("10.0.1.2"), by(0));
    const auto table = mesh.compile();
    const auto* flow = arriving(*table, "10.0.0.1:20000");
    const auto begins_line = [](const void* at) { return reinterpret_cast<uintptr_t>(at) % 64 == 0; };
    CHECK(begins_line(flow));
    CHECK(begins_line(flow->legs));
    CHECK(begins_line(&flow->path->reception));
}

TEST_CASE("legs whose port shares payloads come first", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")},
                            {to("10.0.1.1:6000"), to("10.0.1.2:6000"), to("10.0.1.3:6000"), to("[fd01::4]:6000")})}));
    mesh.resolve(way("10.0.1.1"), by(0));
    mesh.resolve(way("10.0.1.2"), by(2));
    mesh.resolve(way("10.0.1.3"), by(1));
    auto table = mesh.compile();
    CHECK_FALSE(arriving(*table, "10.0.0.1:20000")->needs_checksum);
    mesh.resolve(way("fd01::4"), by(2, "fd01::1"));
    table = mesh.compile();
    const auto* flow = arriving(*table, "10.0.0.1:20000");
    REQUIRE(flow->leg_count == 4);
    CHECK(flow->shareable == 2);
    std::vector<uint16_t> tx;
    for (unsigned i = 0; i < 4; i++) tx.push_back(flow->legs[i].tx_port);
    CHECK(tx == std::vector<uint16_t>{2, 2, 0, 1});
    CHECK(flow->needs_checksum);  // an IPv6 leg
}

TEST_CASE("two paths have states of their own, share the merge and the legs", "[mesh]") {
    auto mesh = model();
    auto second = from("239.1.1.1:5004");
    second.from = ip("10.0.0.8");
    second.port = "wan";
    second.vlan = 9;
    put(mesh, stream({track({from("10.0.0.1:20000"), second}, {to("10.0.1.20:6000")})}));
    mesh.resolve(way("10.0.1.20"), by(0));
    const auto table = mesh.compile();
    CHECK(table->size() == 2);
    const auto* one = arriving(*table, "10.0.0.1:20000");
    const auto* two = arriving(*table, "239.1.1.1:5004", "10.0.0.8", 1, 9);
    REQUIRE(one);
    REQUIRE(two);
    CHECK(one->path != two->path);
    REQUIRE(one->merge);
    CHECK(one->merge == two->merge);
    CHECK(one->rendition == two->rendition);
    CHECK(one->owner == two->owner);
    CHECK(udp_port(two->legs[0], false) == 20000);  // receivers see one source
    CHECK(arriving_rtcp(*table, "239.1.1.1:5005", "10.0.0.8", 1, 9) == two);
    CHECK(arriving(*table, "239.1.1.1:5004", "10.0.0.7", 1, 9) == nullptr);  // another sender
    CHECK(arriving(*table, "239.1.1.1:5004", "10.0.0.8", 0, 9) == nullptr);  // another port
    CHECK(arriving(*table, "239.1.1.1:5004", "10.0.0.8", 1, 0) == nullptr);  // another VLAN
    CHECK(mesh.tracks()[0]->paths[0].name() == "1");
    CHECK(mesh.tracks()[0]->paths[1].name() == "2");
}

TEST_CASE("a port is steered what can arrive there", "[mesh]") {
    auto mesh = model();
    auto on_wan = from("239.1.1.1:5004");
    on_wan.port = "wan";
    put(mesh, stream({track({from("10.0.0.1:20000"), on_wan}, {})}));
    mesh.compile();
    const std::vector<flow::Key> anywhere{{ip("10.0.0.1"), 20000, 0}, {ip("10.0.0.1"), 20001, 0}};
    std::vector<flow::Key> on_the_wan = anywhere;
    on_the_wan.insert(on_the_wan.end(), {{ip("239.1.1.1"), 5004, 0}, {ip("239.1.1.1"), 5005, 0}});
    CHECK(mesh.keys(0) == anywhere);
    CHECK(mesh.keys(1) == on_the_wan);
    CHECK(mesh.keys(2) == anywhere);
    CHECK(mesh.port_index("wan") == uint16_t{1});
    CHECK(mesh.port_index("moon") == std::nullopt);
    CHECK(mesh.port_index(std::nullopt) == std::nullopt);
}

TEST_CASE("tracks go to the worker with the fewest, among those where they can arrive", "[mesh]") {
    auto mesh = model();
    const auto add = [&](std::optional<std::string> port) {
        static uint16_t next = 20000;
        auto source = from("10.0.0.1:1");
        source.rtp.port = next = static_cast<uint16_t>(next + 2);
        source.port = std::move(port);
        const std::string name = "camera-" + std::to_string(next);
        put(mesh, stream({track({source}, {})}, name.c_str()));
        return mesh.stream(name)->tracks[0]->owner;
    };
    CHECK(add("lan") == 0);
    CHECK(add("lan") == 0);  // only worker 0 polls it
    CHECK(add("wan") == 1);
    CHECK(add(std::nullopt) == 1);
    CHECK(add("nic") == 1);  // only worker 1 does
    CHECK(add("wan") == 0);
}

TEST_CASE("tracks of one kind are told apart by number", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {}), track({from("10.0.0.1:20002")}, {}, "audio"),
                      track({from("10.0.0.1:20004")}, {})}));
    put(mesh, stream({track({from("10.0.0.1:20006")}, {})}, "other"));
    std::vector<std::string> names;
    for (const auto& t : mesh.tracks()) names.push_back(t->stream + "/" + t->name);
    CHECK(names == std::vector<std::string>{"camera/video", "camera/audio", "camera/video-2", "other/video"});
}

TEST_CASE("repair is one rendition for all outputs that want the same of it", "[mesh]") {
    mesh::Mesh mesh = model();
    auto video = track({from("10.0.0.1:20000")},
                       {to("10.0.1.20:6000"), to("10.0.1.21:6000"), to("10.0.1.22:6000"), to("10.0.1.23:6000")});
    video.outputs[0].fec = config::OutputFec{.code = {{}, {5, 5, true, false}}};
    video.outputs[1].fec = config::OutputFec{.code = {{}, {10, 4, false, true}}};
    video.outputs[2].fec = config::OutputFec{.code = {{}, {5, 5, true, false}}};
    put(mesh, stream({video}));
    CHECK(arriving(*mesh.compile(), "10.0.0.1:20000")->more->fec == nullptr);  // nobody can be reached yet
    for (const char* address : {"10.0.1.20", "10.0.1.21", "10.0.1.22", "10.0.1.23"})
        mesh.resolve(way(address), by(address == std::string("10.0.1.22") ? 2 : 1));
    const auto table = mesh.compile();
    const flow::Flow* f = arriving(*table, "10.0.0.1:20000");
    REQUIRE(f->has_fec);
    CHECK(f->leg_count == 4);
    CHECK(f->more->fec->decoder == nullptr);
    CHECK_FALSE(f->of_rtcp().has_fec);
    REQUIRE(f->more->fec->repairs.size() == 2);
    const auto& both = f->more->fec->repairs[0];
    const auto& columns = f->more->fec->repairs[1];
    CHECK(both.encoder != columns.encoder);
    REQUIRE(both.repair.legs.size() == 2);
    REQUIRE(both.rows.legs.size() == 2);
    CHECK(both.rows.shards[0].shareable == 1);
    CHECK(both.rows.legs[0].tx_port == 2);  // those that take a shared payload come first
    CHECK(udp_port(both.repair.legs[1], true) == 6002);
    CHECK(udp_port(both.rows.legs[1], true) == 6004);
    CHECK(udp_port(both.repair.legs[1], false) == 20002);  // as the media come from the port that takes them
    CHECK(columns.repair.legs.size() == 1);
    CHECK(columns.rows.legs.empty());
    CHECK(arriving(*table, "10.0.0.1:20002") == nullptr);  // no repair is expected

    // An output more that wants the same changes neither encoder nor counters.
    const auto* encoder = both.encoder;
    const auto* counted = both.repair.legs[1].state;
    video.outputs.insert(video.outputs.begin(), to("10.0.1.24:6000"));
    video.outputs[0].fec = video.outputs[1].fec;
    put(mesh, stream({video}));
    mesh.resolve(way("10.0.1.24"), by(1));
    const auto next = mesh.compile();
    const auto& more = arriving(*next, "10.0.0.1:20000")->more->fec->repairs[0];
    CHECK(more.encoder == encoder);
    REQUIRE(more.repair.legs.size() == 3);
    CHECK(more.repair.legs[2].state == counted);
}

TEST_CASE("repair that arrives goes to the decoder of its track, by every path that brings it", "[mesh]") {
    mesh::Mesh mesh = model();
    auto video = track({from("10.0.0.1:20000"), from("10.0.0.1:20100")}, {to("10.0.1.20:6000")});
    video.sources[1].fec = config::SourceFec{};
    video.sources[1].from = ip("10.0.0.8");
    put(mesh, stream({video}));
    const auto table = mesh.compile();
    CHECK(arriving(*table, "10.0.0.1:20002") == nullptr);
    for (const char* at : {"10.0.0.1:20102", "10.0.0.1:20104"}) {
        CHECK(arriving(*table, at, "10.0.0.7") == nullptr);
        const flow::Flow* f = arriving(*table, at, "10.0.0.8");
        REQUIRE(f != nullptr);
        CHECK(f->kind == flow::Kind::repair);
        CHECK(f->more->fec->decoder != nullptr);
        CHECK(f->more->fec->decoder == arriving(*table, "10.0.0.1:20000")->more->fec->decoder);
        CHECK(f->legs == arriving(*table, "10.0.0.1:20000")->legs);
    }
    const auto refused = [&](config::Source source) {
        const auto done = mesh.put(stream({track({source}, {})}, "other"));
        return done ? "" : done.error().text;
    };
    CHECK_THAT(refused(from("10.0.0.1:20104")),
               Catch::Contains("stream 'camera' has it, or needs it for RTCP or repair"));
    CHECK_THAT(refused(from("10.0.0.1:20103")), Catch::Contains("stream 'camera' has it"));
    CHECK(refused(from("10.0.0.1:20106")).empty());
    // Who keeps the path keeps what it has learnt.
    const auto* decoder = mesh.tracks()[0]->extras().decoder.get();
    video.outputs.clear();
    put(mesh, stream({video}));
    CHECK(mesh.stream("camera")->tracks[0]->extras().decoder.get() == decoder);
}

TEST_CASE("the two legs of a live-live output know each other, and packets to send once more have a rendition",
          "[mesh]") {
    auto mesh = model();
    auto one = to("10.0.1.20:6000"), two = to("10.0.1.21:6000"), third = to("10.0.1.22:6000");
    one.live_live = two.live_live = 1;
    third.duplicate_after = std::chrono::milliseconds(50);
    put(mesh, stream({track({from("10.0.0.1:20000")}, {one, two, third})}));
    const auto& made = *mesh.tracks()[0];
    CHECK(made.other_leg(made.outputs[0]) == &made.outputs[1]);
    CHECK(made.other_leg(made.outputs[1]) == &made.outputs[0]);
    CHECK(made.other_leg(made.outputs[2]) == nullptr);
    for (const char* address : {"10.0.1.20", "10.0.1.21", "10.0.1.22"}) mesh.resolve(way(address), by(2));
    const auto table = mesh.compile();
    const auto* flow = arriving(*table, "10.0.0.1:20000");
    CHECK(flow->leg_count == 3);
    REQUIRE(flow->more->repetition);
    CHECK(flow->keeps);
    REQUIRE(flow->more->repetition->to.legs.size() == 1);
    CHECK(flow->more->repetition->to.legs[0].state == made.outputs[2].extras().repeated.get());
    CHECK(table->served().size() == 1);
}
