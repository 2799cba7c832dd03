// Tracks that a protocol brings, beside those of the file.
#include "mesh_cases.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

using Names = std::vector<std::string>;

Result<void> bring(mesh::Mesh& mesh, const char* name, const char* at, std::vector<config::Output> outputs = {}) {
    return mesh.bring(name, {track({from(at)}, std::move(outputs))});
}

}  // namespace

TEST_CASE("a published stream is there as long as its tracks", "[mesh]") {
    auto mesh = model();
    REQUIRE(bring(mesh, "live", "10.0.0.1:20000"));
    REQUIRE(mesh.stream("live"));
    CHECK(mesh.stream("live")->of_protocol);
    CHECK(arriving(*mesh.compile(), "10.0.0.1:20000"));
    CHECK(mesh.take_sources().added.size() == 1);

    CHECK(mesh.replace({stream({track({from("10.0.0.1:5000")}, {})})}).removed.empty());  // a reload
    REQUIRE(mesh.stream("live"));
    mesh.take_sources();

    mesh.withdraw("live");
    CHECK_FALSE(mesh.stream("live"));
    CHECK_FALSE(arriving(*mesh.compile(), "10.0.0.1:20000"));
    CHECK(mesh.take_sources().removed.size() == 1);
    CHECK(mesh.take_displaced().empty());
    mesh.withdraw("live");
    mesh.withdraw("camera");  // has nothing that was brought
    CHECK(mesh.stream("camera"));
}

TEST_CASE("the tracks of a stream of the file that has none come and go, the stream stays", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({}, "gate"));
    REQUIRE(bring(mesh, "gate", "10.0.0.1:20000"));
    CHECK(mesh.stream("gate")->tracks.size() == 1);
    const auto changes = mesh.replace({stream({}, "gate")});
    CHECK(changes.added.empty());
    CHECK(changes.touched.empty());
    CHECK(mesh.stream("gate")->tracks.size() == 1);
    mesh.withdraw("gate");
    REQUIRE(mesh.stream("gate"));
    CHECK(mesh.stream("gate")->tracks.empty());
}

TEST_CASE("a source tells who sends, and is then taken from there alone", "[mesh]") {
    auto mesh = model();
    config::Source source = from("10.0.0.1:20000");
    source.tells_sender = true;
    REQUIRE(mesh.bring("live", {track({source}, {})}));
    const auto asking = mesh.compile();
    REQUIRE(arriving(*asking, "10.0.0.1:20000", "10.9.9.8"));
    CHECK(arriving(*asking, "10.0.0.1:20000", "10.9.9.8")->tells_sender);
    source.tells_sender = false;
    source.from = ip("10.9.9.8");
    REQUIRE(mesh.bring("live", {track({source}, {})}));
    const auto told = mesh.compile();
    REQUIRE(arriving(*told, "10.0.0.1:20000", "10.9.9.8"));
    CHECK_FALSE(arriving(*told, "10.0.0.1:20000", "10.9.9.8")->tells_sender);
    CHECK_FALSE(arriving(*told, "10.0.0.1:20000", "10.9.9.7"));
}

TEST_CASE("what is brought again goes on where it is the same", "[mesh]") {
    auto mesh = model();
    REQUIRE(bring(mesh, "live", "10.0.0.1:20000"));
    const auto state = mesh.tracks()[0]->paths[0].state;
    REQUIRE(bring(mesh, "live", "10.0.0.1:20000", {to("10.0.1.20:6000")}));
    CHECK(mesh.tracks()[0]->paths[0].state == state);
    CHECK(mesh.tracks()[0]->outputs.size() == 1);
}

TEST_CASE("what is brought does not displace what is there", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.0.1:20010")})}));
    CHECK(bring(mesh, "camera", "10.0.0.1:20020").error().text == "stream 'camera' has tracks of its own");
    CHECK_FALSE(bring(mesh, "live", "10.0.0.1:20000"));  // the source of another
    CHECK_FALSE(bring(mesh, "live", "10.0.0.1:20010"));  // which another feeds
    CHECK_FALSE(mesh.stream("live"));
}

TEST_CASE("whose brought tracks go by other hands is told", "[mesh]") {
    auto mesh = model();
    REQUIRE(bring(mesh, "deleted", "10.0.0.1:20000"));
    CHECK(mesh.remove("deleted"));
    CHECK(mesh.take_displaced() == Names{"deleted"});

    REQUIRE(bring(mesh, "camera", "10.0.0.1:20000"));
    const auto of_file = stream({track({from("10.0.0.1:5000")}, {})});
    const auto changes = mesh.replace({of_file});
    CHECK(changes.added == Names{"camera"});
    CHECK(mesh.take_displaced() == Names{"camera"});
    CHECK(mesh.stream("camera")->configured() == of_file);
    CHECK_FALSE(mesh.stream("camera")->of_protocol);
    CHECK(mesh.tracks()[0]->paths[0].source == from("10.0.0.1:5000"));
    CHECK(mesh.replace({}).removed == Names{"camera"});
}

namespace {

config::Stream gate(std::vector<config::Track> wanted) {
    config::Stream of = stream(std::move(wanted), "gate");
    of.rtsp = config::Pull{*config::location_of("rtsp://10.0.0.7/live")};
    return of;
}
config::Track brought(const char* at, const char* encoding, uint8_t payload_type, const char* media = "video") {
    auto of = track({from(at)}, {}, media);
    of.encoding = encoding;
    of.payload_type = payload_type;
    return of;
}
config::Track wanted(std::vector<config::Output> outputs, const char* encoding = "", const char* media = "video") {
    auto of = track({}, std::move(outputs), media);
    of.encoding = encoding;
    return of;
}
std::vector<std::string> legs(const mesh::Mesh& mesh, size_t track = 0) {
    std::vector<std::string> all;
    for (const mesh::Output& output : mesh.stream("gate")->tracks.at(track)->outputs) all.push_back(output.name());
    return all;
}

}  // namespace

TEST_CASE("what the file wants of a camera's tracks they get when they come", "[mesh]") {
    auto mesh = model();
    auto video = wanted({to("10.0.1.20:6000")}, "h264/90000");
    video.delay = std::chrono::milliseconds(50);
    video.feedback = config::Feedback{};
    const auto file = gate({wanted({}), video, wanted({to("10.0.1.20:7000")}, "PCMA/8000/1", "audio")});
    put(mesh, file);
    CHECK(mesh.stream("gate")->tracks.empty());
    CHECK_FALSE(mesh.compile()->find({ip("10.0.0.1"), 20000, 0}, ip("10.9.9.9"), 0));
    REQUIRE(
        mesh.bring("gate", {brought("10.0.0.1:20004", "PCMA/8000", 8, "audio"),
                            brought("10.0.0.1:20000", "MPV/90000", 32), brought("10.0.0.1:20002", "H264/90000", 96)}));
    CHECK(mesh.stream("gate")->unmet().empty());
    CHECK(legs(mesh, 0) == Names{"10.0.1.20:7000"});
    CHECK(legs(mesh, 1).empty());  // of two the first entry is for the first one, and says nothing
    CHECK(legs(mesh, 2) == Names{"10.0.1.20:6000"});
    const mesh::Track& second = *mesh.stream("gate")->tracks[2];
    CHECK((second.config.delay.count() == 50 && second.config.feedback && second.config.payload_type == 96));
    CHECK(mesh.take_destinations().wanted.size() == 1);

    CHECK(mesh.replace({file}).touched.empty());
    mesh.withdraw("gate");
    CHECK(mesh.stream("gate")->tracks.empty());
    CHECK(mesh.stream("gate")->configured() == file);
    CHECK(mesh.take_destinations().forgotten.size() == 1);
    CHECK(mesh.replace({file}).touched.empty());
}

TEST_CASE("a reload changes a camera's outputs while viewers watch", "[mesh]") {
    auto mesh = model();
    put(mesh, gate({}));
    REQUIRE(mesh.bring("gate", {brought("10.0.0.1:20000", "H264/90000", 96)}));
    const auto state = mesh.tracks()[0]->paths[0].state;
    const auto viewer =
        mesh.add_viewer({"gate", "video", {endpoint("10.0.1.1:20010"), 5001}, endpoint("10.0.1.30:5000")});
    REQUIRE(viewer);
    const auto changes = mesh.replace({gate({wanted({to("10.0.1.20:6000")})})});
    REQUIRE(changes.touched.size() == 1);
    CHECK(changes.touched[0].how == Names{"track video added"});
    CHECK(legs(mesh) == Names{"10.0.1.20:6000"});
    CHECK(mesh.tracks()[0]->paths[0].state == state);
    CHECK(mesh.tracks()[0]->extras().viewers.size() == 1);
    const auto leg = mesh.tracks()[0]->outputs[0].state;
    const auto more = mesh.replace({gate({wanted({to("10.0.1.20:6000"), to("10.0.1.21:6000")})})});
    CHECK(more.touched[0].how == Names{"output 10.0.1.21:6000 added"});
    CHECK(mesh.tracks()[0]->outputs[0].state == leg);
    CHECK(mesh.replace({gate({})}).touched.size() == 1);
    CHECK(legs(mesh).empty());
    CHECK(mesh.tracks()[0]->extras().viewers.size() == 1);
    CHECK(mesh.take_orphans().empty());
    CHECK(mesh.take_displaced().empty());
}

TEST_CASE("what a camera's tracks do not meet is told, and does nothing", "[mesh]") {
    auto mesh = model();
    auto typed = wanted({to("10.0.1.20:6000")});
    typed.payload_type = 97;
    auto repaired = wanted({to("10.0.1.20:6000")});
    repaired.outputs[0].fec = config::OutputFec{{{rtp::fec::Scheme::flexfec, 96}, {5, 5}}, 6};
    const std::vector<std::pair<config::Track, const char*>> cases = {
        {wanted({to("10.0.1.20:6000")}, "H265/90000"), "video: the camera sends H264/90000, and not H265/90000"},
        {typed, "video: the camera sends it with payload type 96, and not 97"},
        {wanted({to("10.0.1.20:6000")}, "", "audio"), "audio: the camera has no such track"},
        {wanted({to("10.0.0.1:20001")}), "video: 10.0.0.1:20001 is the RTCP port of a source of stream 'gate'"}};
    for (const auto& [entry, why] : cases) {
        put(mesh, gate({entry}));
        REQUIRE(mesh.bring("gate", {brought("10.0.0.1:20000", "H264/90000", 96)}));
        REQUIRE(mesh.stream("gate")->unmet().size() == 1);
        CHECK_THAT(mesh.stream("gate")->unmet()[0], Catch::StartsWith(why));
        CHECK(legs(mesh).empty());
    }
    // Not to what comes for another track of it, either.
    put(mesh, gate({wanted({to("10.0.0.1:20002")}, "", "audio")}));
    REQUIRE(mesh.bring(
        "gate", {brought("10.0.0.1:20000", "H264/90000", 96), brought("10.0.0.1:20002", "PCMA/8000", 8, "audio")}));
    CHECK_THAT(mesh.stream("gate")->unmet().at(0), Catch::StartsWith("audio: ") && Catch::Contains("a loop"));
    put(mesh, gate({wanted({to("10.0.0.1:20002")})}));
    CHECK_THAT(mesh.stream("gate")->unmet().at(0), Catch::StartsWith("video: ") && Catch::Contains("a loop"));
    REQUIRE(mesh.bring("gate", {brought("10.0.0.1:20000", "H264/90000", 96)}));
    repaired.outputs[0].fec->port = 0;
    put(mesh, gate({repaired}));
    CHECK_THAT(mesh.stream("gate")->unmet().at(0), Catch::Contains("payload type 96 is that of the media"));
    // The camera comes back with other media, and they are met.
    put(mesh, gate({cases[0].first}));
    REQUIRE(mesh.bring("gate", {brought("10.0.0.1:20000", "H265/90000", 98)}));
    CHECK(mesh.stream("gate")->unmet().empty());
    CHECK(legs(mesh) == Names{"10.0.1.20:6000"});
    mesh.withdraw("gate");
    CHECK(mesh.stream("gate")->unmet().empty());
}

TEST_CASE("a published stream gives way to a camera of the file", "[mesh]") {
    auto mesh = model();
    REQUIRE(bring(mesh, "gate", "10.0.0.1:20000", {to("10.0.1.21:6000")}));
    mesh.replace({gate({wanted({to("10.0.1.20:6000")})})});
    CHECK(mesh.take_displaced() == Names{"gate"});
    CHECK(mesh.stream("gate")->tracks.empty());
    REQUIRE(mesh.bring("gate", {brought("10.0.0.1:20000", "H264/90000", 96)}));
    CHECK(legs(mesh) == Names{"10.0.1.20:6000"});
    // And a camera to tracks of the file.
    mesh.replace({stream({track({from("10.0.0.1:5000")}, {})}, "gate")});
    CHECK(legs(mesh).empty());
    mesh.replace({gate({})});
    CHECK(mesh.stream("gate")->tracks.empty());
}
