// RTCP of those who watch by a group, by the real model: who is heard, what of it counts, and what strangers can do.
#include <catch2/catch.hpp>

#include <thread>

#include "dataplane/modelled.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

// camera/video, watched by 239.10.0.1:21000 on wan, from 10.0.1.1:21000.
struct Group : Modelled {
    uint64_t viewer = 0;

    Group() {
        config::Track track = video_track();
        track.payload_type = 96;
        put(track);
        viewer = mesh.add_viewer({.stream = "camera",
                                  .track = "video",
                                  .agreed = {endpoint("10.0.1.1:21000"), 21001},
                                  .to = endpoint("239.10.0.1:21000"),
                                  .group = mesh::Mesh::ViewerPlan::Group{kOut, 16}})
                     .value();
        publish();
        media();
        lab.arrive(packet().ipv4("10.0.0.9", "10.0.0.1").udp(7001, 20001).payload(sender_report()).build(), kIn);
        lab.turn();
        lab.sent(kIn);
    }
    void media() {
        lab.arrive(packet().udp(7000, 20000).payload(rtp_packet({.sequence = 1})).build(), kIn);
        lab.turn();
    }
    std::shared_ptr<const flow::Participant> watches(const char* ip) {
        auto is = mesh.participate(viewer, test::ip(ip));
        publish();
        return is;
    }
    void say(const Bytes& rtcp, const char* from, const char* to = "239.10.0.1", uint16_t port = kOut) {
        lab.arrive(packet().ipv4(from, to).udp(21001, 21001).payload(rtcp).build(), port);
        lab.turn();
    }
    const flow::Feedback& all() { return *mesh.viewer(viewer)->feedback; }
    uint64_t strangers() { return lab.ledger()[flow::Drop::no_flow]; }
};

Bytes report(uint32_t ssrc, uint32_t lost, const char* of = "11223344") {
    Bytes p = hex("81c90007");
    append32(p, ssrc);
    append(p, hex(of));
    append32(p, lost);
    append(p, hex("00000001 00000000 00000000 00000000"));
    return p;
}

}  // namespace

TEST_CASE("who watches by a group is heard there and at our address, nobody else is", "[groups]") {
    Group stage;
    stage.say(report(7, 1), "10.0.1.30");
    CHECK(stage.strangers() == 1);  // nobody is there yet
    const auto one = stage.watches("10.0.1.30"), two = stage.watches("10.0.1.31");
    stage.say(report(7, 1), "10.0.1.30");
    stage.say(report(8, 2), "10.0.1.31", "10.0.1.1");
    REQUIRE(one->voices().size() == 1);
    REQUIRE(two->voices().size() == 1);
    CHECK(one->voices()[0].ssrc == 7);
    CHECK(one->voices()[0].packets == 1);
    CHECK(two->voices()[0].lost == 2);
    stage.say(report(9, 1), "10.0.1.99");
    stage.say(report(9, 1), "10.0.1.30", "239.10.0.1", kIn);  // by another port than the group's
    CHECK(stage.strangers() == 3);
    stage.say(hex("81c9ffff 00000007"), "10.0.1.30");
    CHECK(stage.lab.ledger()[flow::Drop::rtcp_invalid] == 1);
    stage.mesh.depart(stage.viewer, test::ip("10.0.1.30"));
    stage.publish();
    stage.say(report(7, 1), "10.0.1.30");
    CHECK(stage.strangers() == 4);
    CHECK(one->voices()[0].packets == 1);
    CHECK(stage.all().packets.read() == 2);
}

TEST_CASE("of what the receivers of a group lost the most counts, and it does not fall", "[groups]") {
    Group stage;
    stage.watches("10.0.1.30");
    stage.watches("10.0.1.31");
    stage.say(report(7, 10), "10.0.1.30");
    stage.say(report(8, 12), "10.0.1.31");
    CHECK(stage.all().lost.read() == 12);
    stage.say(report(8, 3), "10.0.1.31");
    stage.say(report(7, 500, "99999999"), "10.0.1.30");  // of another source
    stage.say(report(7, 0xffffff), "10.0.1.30");         // packets that came twice: -1
    CHECK(stage.all().lost.read() == 12);
}

TEST_CASE("SSRCs that are made up take no place of one that is heard", "[groups]") {
    Group stage;
    const auto one = stage.watches("10.0.1.30");
    for (uint32_t round = 0; round < 50; round++) {
        stage.say(report(7, 1), "10.0.1.30");
        for (uint32_t ssrc = 0; ssrc < 20; ssrc++) stage.say(report(1000 + 20 * round + ssrc, 1), "10.0.1.30");
    }
    CHECK(one->voices().size() == flow::Participant::kVoices);
    CHECK(one->voices()[0].ssrc == 7);
    CHECK(one->voices()[0].packets == 50);
}

TEST_CASE("a key frame that a receiver of a group wants is asked of the source", "[groups]") {
    Group stage;
    stage.watches("10.0.1.30");
    stage.say(hex("81ce0002 00000007 11223344"), "10.0.1.99");
    CHECK(stage.lab.sent(kIn).empty());
    for (int i = 0; i < 20; i++) stage.say(hex("81ce0002 00000007 11223344"), "10.0.1.30");
    CHECK(stage.lab.sent(kIn).size() == 1);
    CHECK(stage.all().key_frames.read() == 20);
    stage.say(hex("81cd0003 00000007 11223344 00010000"), "10.0.1.30");  // NACK: all would get it
    CHECK(stage.lab.sent(kOut).empty());
    CHECK(stage.all().not_kept.read() == 1);
}
