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
