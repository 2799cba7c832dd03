// Viewers in the model: legs beside the outputs, which come and go without them.
#include <algorithm>

#include "mesh_cases.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

mesh::Mesh::ViewerPlan plan(const char* from, const char* to, uint16_t rtcp = 5001, const char* track = "video") {
    return {.stream = "camera", .track = track, .agreed = {endpoint(from), rtcp}, .to = endpoint(to)};
}

uint64_t add(mesh::Mesh& mesh, const mesh::Mesh::ViewerPlan& plan) {
    const auto id = mesh.add_viewer(plan);
    INFO((id ? "" : id.error().text));
    REQUIRE(id);
    return *id;
}

const config::Stream kCamera = stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")})});

}  // namespace

TEST_CASE("a viewer's leg comes with PLAY, and its feedback is expected before", "[viewers]") {
    mesh::Mesh mesh = model();
    put(mesh, kCamera);
    mesh.resolve(way("10.0.1.20"), by(1));
    mesh.compile();
    mesh.take_destinations();
    const uint64_t id = add(mesh, plan("10.0.1.1:21000", "10.0.1.30:5000", 5003));
    CHECK(mesh.take_destinations().wanted == std::vector{way("10.0.1.30")});
    mesh.resolve(way("10.0.1.30"), by(1, "10.0.1.9"));
    auto table = mesh.compile();
    REQUIRE(table);
    CHECK(arriving(*table, "10.0.0.1:20000")->leg_count == 1);
    for (const char* at : {"10.0.1.1:21000", "10.0.1.1:21001"}) {
        const flow::Flow* feedback = arriving(*table, at, "10.0.1.30");
        REQUIRE(feedback);
        CHECK(feedback->kind == flow::Kind::feedback);
        CHECK(feedback->more->watching->feedback == mesh.viewer(id)->feedback.get());
        CHECK_FALSE(arriving(*table, at, "10.0.1.31"));  // of nobody else
    }

    mesh.play(id, true);
    table = mesh.compile();
    const flow::Flow* rtp = arriving(*table, "10.0.0.1:20000");
    REQUIRE(rtp->leg_count == 2);
    CHECK(udp_port(rtp->legs[1], false) == 21000);
    CHECK(udp_port(rtp->legs[1], true) == 5000);
    CHECK(rtp->legs[1].ttl == 64);
    CHECK(Ip::v4(rtp->legs[1].header().subspan<26, 4>()) ==
          ip("10.0.1.1"));  // where it reached us, whatever the route says
    CHECK(rtcp_port(rtp->legs[1], false) == 21001);
    CHECK(rtcp_port(rtp->legs[1], true) == 5003);
    CHECK(mesh.tracks()[0]->legs().size() == 2);
    CHECK(mesh.tracks()[0]->outputs.size() == 1);
    CHECK(mesh.tracks()[0]->legs()[1]->name() == "rtsp:10.0.1.30:5000");
    CHECK(mesh.placed()[0].outputs == 2);

    mesh.play(id, false);
    table = mesh.compile();
    CHECK(arriving(*table, "10.0.0.1:20000")->leg_count == 1);
    CHECK(arriving(*table, "10.0.1.1:21001", "10.0.1.30"));
    mesh.remove_viewer(id);
    table = mesh.compile();
    CHECK_FALSE(arriving(*table, "10.0.1.1:21001", "10.0.1.30"));
    CHECK(mesh.take_destinations().forgotten == std::vector{way("10.0.1.30")});
    CHECK(mesh.placed()[0].outputs == 1);
    CHECK(table->size() == 1);
}

TEST_CASE("a viewer that is a group: its own TTL and port to leave by", "[viewers]") {
    mesh::Mesh mesh = model();
    put(mesh, kCamera);
    auto shared = plan("10.0.1.1:21000", "239.10.0.1:21000", 21001);
    shared.group = {.port = 1, .ttl = 9};
    const uint64_t id = add(mesh, shared);
    const flow::Destination by_wan{ip("239.10.0.1"), 1};
    CHECK(std::ranges::count(mesh.take_destinations().wanted, by_wan) == 1);
    mesh.resolve(by_wan, by(1, "10.0.1.9"));
    mesh.play(id, true);
    const auto table = mesh.compile();
    const flow::Flow* rtp = arriving(*table, "10.0.0.1:20000");
    REQUIRE(rtp->leg_count == 1);
    CHECK(rtp->legs[0].ttl == 9);
    CHECK(udp_port(rtp->legs[0], false) == 21000);
    CHECK(udp_port(rtp->legs[0], true) == 21000);
    CHECK(Ip::v4(rtp->legs[0].header().subspan<26, 4>()) == ip("10.0.1.1"));
    CHECK(rtcp_port(rtp->legs[0], true) == 21001);
    CHECK(mesh.takes({ip("10.0.1.1"), 21001, 0}));  // the pair is its

    put(mesh, stream({track({from("239.10.0.2:21002")}, {})}, "other"));
    auto loop = plan("10.0.1.1:21002", "239.10.0.2:21002", 21003);
    loop.group = {.port = 1, .ttl = 9};
    CHECK_FALSE(mesh.add_viewer(loop));
    mesh.remove_viewer(id);
    CHECK(mesh.take_destinations().forgotten == std::vector{by_wan});
}

TEST_CASE("a group is joined and its RTCP port steered while it is there, for those who watch", "[viewers]") {
    mesh::Mesh mesh = model();
    put(mesh, kCamera);
    mesh.take_sources();
    mesh.take_keys();
    auto shared = plan("10.0.1.1:21000", "239.10.0.1:21000", 21001);
    shared.group = {.port = 1, .ttl = 9};
    const uint64_t id = add(mesh, shared);
    const flow::Key rtcp{ip("239.10.0.1"), 21001, 0};
    auto sources = mesh.take_sources();
    REQUIRE(sources.added.size() == 1);
    CHECK(sources.added[0].rtp == endpoint("239.10.0.1:21001"));
    CHECK(sources.added[0].port == "wan");
    auto keys = mesh.take_keys();
    CHECK(keys[1].wanted == std::vector{rtcp});
    CHECK(keys[0].wanted.empty());
    CHECK(std::ranges::count(mesh.keys(1), rtcp) == 1);
    CHECK(std::ranges::count(mesh.keys(0), rtcp) == 0);

    const auto one = mesh.participate(id, ip("10.0.1.30"));
    CHECK(mesh.participate(id, ip("10.0.1.30")) == one);  // two players there
    const auto two = mesh.participate(id, ip("10.0.1.31"));
    auto table = mesh.compile();
    for (const char* at : {"239.10.0.1:21001", "10.0.1.1:21001"}) {
        const flow::Flow* heard = arriving(*table, at, "10.0.1.30", 1);
        REQUIRE(heard);
        CHECK(heard->kind == flow::Kind::feedback);
        CHECK(heard->more->watching->participants->find(ip("10.0.1.30")) == one.get());
        CHECK(heard->more->watching->participants->find(ip("10.0.1.31")) == two.get());
        CHECK(heard->more->watching->participants->find(ip("10.0.1.32")) == nullptr);
    }
    CHECK_FALSE(arriving(*table, "10.0.1.1:21000"));
    mesh.depart(id, ip("10.0.1.30"));
    CHECK_FALSE(mesh.compile());  // one of the two is left
    mesh.depart(id, ip("10.0.1.30"));
    table = mesh.compile();
    CHECK_FALSE(arriving(*table, "239.10.0.1:21001", "10.0.1.31", 0));
    REQUIRE(arriving(*table, "239.10.0.1:21001", "10.0.1.31", 1));
    CHECK(arriving(*table, "239.10.0.1:21001", "10.0.1.31", 1)->more->watching->participants->find(ip("10.0.1.30")) ==
          nullptr);

    mesh.remove_viewer(id);
    CHECK_FALSE(arriving(*mesh.compile(), "239.10.0.1:21001", "10.0.1.31", 1));
    sources = mesh.take_sources();
    REQUIRE(sources.removed.size() == 1);
    CHECK(sources.removed[0].rtp == endpoint("239.10.0.1:21001"));
    CHECK(mesh.take_keys()[1].unwanted == std::vector{rtcp});
    CHECK(std::ranges::count(mesh.keys(1), rtcp) == 0);
}

TEST_CASE("one destination of an output and two viewers is wanted until the last goes", "[viewers]") {
    mesh::Mesh mesh = model();
    put(mesh, kCamera);
    CHECK(mesh.take_destinations().wanted.size() == 1);
    const uint64_t one = add(mesh, plan("10.0.1.1:21000", "10.0.1.20:5000"));
    const uint64_t two = add(mesh, plan("10.0.1.1:21002", "10.0.1.20:5002"));
    mesh.remove_viewer(one);
    put(mesh, stream({track({from("10.0.0.1:20000")}, {})}));  // the output goes, viewers stay
    CHECK(mesh.take_destinations().forgotten.empty());
    mesh.resolve(way("10.0.1.20"), by(1));
    mesh.play(two, true);
    CHECK(arriving(*mesh.compile(), "10.0.0.1:20000")->leg_count == 1);
    mesh.remove_viewer(two);
    CHECK(mesh.take_destinations().forgotten.size() == 1);
    mesh.remove_viewer(two);  // twice is once
}

TEST_CASE("viewers of a track that is made anew go on, of one that is another by then they do not", "[viewers]") {
    mesh::Mesh mesh = model();
    put(mesh, kCamera);
    const uint64_t id = add(mesh, plan("10.0.1.1:21000", "10.0.1.30:5000"));
    mesh.resolve(way("10.0.1.30"), by(1));
    mesh.play(id, true);
    put(mesh, stream({track({from("10.0.0.1:20010")}, {to("10.0.1.20:6000"), to("10.0.1.21:6000")})}));
    CHECK(mesh.take_orphans().empty());
    auto table = mesh.compile();
    CHECK(arriving(*table, "10.0.0.1:20010")->leg_count == 1);
    CHECK(arriving(*table, "10.0.1.1:21000", "10.0.1.30"));

    config::Stream other = kCamera;
    other.tracks[0].encoding = "VP8/90000";
    put(mesh, other);
    CHECK(mesh.take_orphans() == std::vector{id});
    CHECK(mesh.viewer(id)->track == nullptr);
    mesh.play(id, false);  // nothing to do with it but to remove it
    mesh.remove_viewer(id);
    CHECK_FALSE(arriving(*mesh.compile(), "10.0.1.1:21000", "10.0.1.30"));

    const uint64_t last = add(mesh, plan("10.0.1.1:21000", "10.0.1.30:5000"));
    mesh.remove("camera");
    CHECK(mesh.take_orphans() == std::vector{last});
    mesh.remove_viewer(last);
    CHECK(mesh.compile()->size() == 0);
}

TEST_CASE("refused viewers, and sources that would take their ports", "[viewers]") {
    mesh::Mesh mesh = model();
    put(mesh, kCamera);
    CHECK_FALSE(mesh.add_viewer(plan("10.0.1.1:21000", "10.0.1.30:5000", 5001, "audio")));
    CHECK_FALSE(mesh.add_viewer(plan("10.0.0.1:20000", "10.0.1.30:5000")));  // a source's port
    CHECK_FALSE(mesh.add_viewer(plan("10.0.0.1:20001", "10.0.1.30:5000")));
    CHECK_FALSE(mesh.add_viewer(plan("10.0.1.1:21000", "10.0.0.1:20000")));  // a loop
    CHECK_FALSE(mesh.add_viewer(plan("10.0.1.1:21000", "10.0.0.1:5000", 20000)));
    add(mesh, plan("10.0.1.1:21000", "10.0.1.30:5000"));
    CHECK_FALSE(mesh.add_viewer(plan("10.0.1.1:21001", "10.0.1.31:5000")));
    CHECK(mesh.takes({ip("10.0.1.1"), 21001, 0}));
    const auto put = mesh.put(stream({track({from("10.0.1.1:21000")}, {})}, "other"));
    REQUIRE_FALSE(put);
    CHECK(put.error().text.find("a viewer was given port 21000") != std::string::npos);
}

TEST_CASE("the first packet since a viewer plays", "[viewers]") {
    mesh::Mesh mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {})}));
    const auto flow_of = [](const flow::Table& table) { return arriving(table, "10.0.0.1:20000"); };
    CHECK_FALSE(flow_of(*mesh.compile())->notes_first);
    const uint64_t one = add(mesh, plan("10.0.1.1:21000", "10.0.1.30:5000"));
    const uint64_t two = add(mesh, plan("10.0.1.1:21002", "10.0.1.31:5000"));
    mesh.resolve(way("10.0.1.31"), by(1));
    mesh.play(one, true);
    CHECK_FALSE(flow_of(*mesh.compile())->notes_first);  // no next hop, no leg
    mesh.resolve(way("10.0.1.30"), by(1));
    const auto first = mesh.compile();
    REQUIRE(flow_of(*first)->notes_first);
    CHECK_FALSE(mesh.first_packet(one));
    mesh.play(two, true);
    const auto second = mesh.compile();
    REQUIRE(flow_of(*second)->more->first != flow_of(*first)->more->first);

    SECTION("each has its own") {
        flow_of(*first)->more->first->note(7, 70);
        flow_of(*second)->more->first->note(8, 80);
        flow_of(*second)->more->first->note(9, 90);
        CHECK(mesh.first_packet(one)->sequence == 7);
        CHECK(mesh.first_packet(two)->sequence == 8);
        CHECK(mesh.first_packet(two)->timestamp == 80);
    }
    SECTION("the table of the first was replaced before a packet came") {
        flow_of(*second)->more->first->note(8, 80);
        CHECK(mesh.first_packet(one)->sequence == 8);
    }
    SECTION("it pauses and plays again") {
        flow_of(*first)->more->first->note(7, 70);
        mesh.play(one, false);
        mesh.compile();
        mesh.play(one, true);
        CHECK_FALSE(mesh.first_packet(one));
        const auto third = mesh.compile();
        flow_of(*third)->more->first->note(20, 200);
        CHECK(mesh.first_packet(one)->sequence == 20);
        mesh.give_up_first_packet(one);
        CHECK_FALSE(mesh.first_packet(one));
        mesh.give_up_first_packet(two);
        put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.40:6000")})}));
        CHECK_FALSE(flow_of(*mesh.compile())->notes_first);  // nobody asks any more
    }
}
