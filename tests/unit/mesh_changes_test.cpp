// The model while it changes: what stays is the same object, what is asked of the kernel is exactly the difference, and
// a refusal leaves everything as it was.
#include "mesh_cases.hpp"

using namespace penstock;
using namespace penstock::test;

namespace {

using Ways = std::vector<flow::Destination>;
using Sources = std::vector<config::Source>;
using Names = std::vector<std::string>;

std::string refusal(mesh::Mesh& mesh, const config::Stream& stream) {
    const auto done = mesh.put(stream);
    REQUIRE_FALSE(done);
    return done.error().text;
}

}  // namespace

TEST_CASE("an output is added beside one that goes on counting", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000"), from("10.0.0.1:20010")}, {to("10.0.1.20:6000")})}));
    mesh.take_destinations();
    mesh.resolve(way("10.0.1.20"), by(0));
    mesh.compile();
    const struct {  // the states; the track itself goes
        std::vector<mesh::Path> paths;
        std::vector<mesh::Output> outputs;
        std::shared_ptr<flow::MergeState> merge;
        uint16_t owner;
    } before{mesh.tracks()[0]->paths, mesh.tracks()[0]->outputs, mesh.tracks()[0]->extras().merge,
             mesh.tracks()[0]->owner};
    before.outputs[0].state->packets.add(7);

    put(mesh, stream({track({from("10.0.0.1:20000"), from("10.0.0.1:20010")},
                            {to("10.0.1.21:6000"), to("10.0.1.20:6000")})}));
    const mesh::Track& after = *mesh.tracks()[0];
    REQUIRE(after.outputs.size() == 2);
    CHECK(after.outputs[1].state == before.outputs[0].state);
    CHECK(after.outputs[1].state->packets.read() == 7);
    CHECK(after.outputs[0].state != before.outputs[0].state);
    CHECK(after.outputs[0].state->packets.read() == 0);
    CHECK(after.paths[0].state == before.paths[0].state);
    CHECK(after.paths[1].state == before.paths[1].state);
    CHECK(after.extras().merge == before.merge);
    CHECK(after.owner == before.owner);

    const auto changes = mesh.take_destinations();
    CHECK(changes.wanted == Ways{way("10.0.1.21")});
    CHECK(changes.forgotten.empty());
    const auto table = mesh.compile();
    REQUIRE(table);
    CHECK(table->size() == 2);
    const auto* flow = arriving(*table, "10.0.0.1:20000");
    REQUIRE(flow->leg_count == 1);  // the old one is still resolved, the new one not yet
    CHECK(flow->legs[0].state == before.outputs[0].state.get());
    CHECK(flow->path == before.paths[0].state.get());
}

TEST_CASE("receivers that differ by VLAN only are counted apart, whatever changes beside them", "[mesh]") {
    auto mesh = model();
    auto tagged = to("10.0.1.20:6000");
    tagged.vlan = 7;
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000"), tagged})}));
    const auto plain_state = mesh.tracks()[0]->outputs[0].state, tagged_state = mesh.tracks()[0]->outputs[1].state;
    CHECK(plain_state != tagged_state);
    tagged.ttl = 9;  // the same receiver
    put(mesh, stream({track({from("10.0.0.1:20000")}, {tagged, to("10.0.1.20:6000")})}));
    CHECK(mesh.tracks()[0]->outputs[0].state == tagged_state);
    CHECK(mesh.tracks()[0]->outputs[1].state == plain_state);
}

TEST_CASE("what did not change is not even made anew", "[mesh]") {
    auto mesh = model();
    const auto video = track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")});
    put(mesh, stream({video, track({from("10.0.0.1:20002")}, {}, "audio")}));
    put(mesh, stream({track({from("10.0.0.1:20004")}, {})}, "other"));
    mesh.compile();
    mesh.take_sources();
    const auto tracks = mesh.tracks();
    const auto flows = tracks[0]->flows;

    put(mesh, stream({video, track({from("10.0.0.1:20002")}, {to("10.0.1.20:7000")}, "audio")}));
    CHECK(mesh.tracks()[0] == tracks[0]);
    CHECK(mesh.tracks()[1] != tracks[1]);
    CHECK(mesh.tracks()[2] == tracks[2]);
    CHECK(mesh.compile());
    CHECK(mesh.tracks()[0]->flows == flows);

    mesh.take_sources();
    put(mesh, mesh.stream("camera")->configured());  // as it is
    CHECK(mesh.compile() == nullptr);
    const auto sources = mesh.take_sources();
    CHECK(sources.added.empty());
    CHECK(sources.removed.empty());
}

TEST_CASE("destinations are asked for once and forgotten with their last user", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000"), to("10.0.1.21:6000")})}, "a"));
    put(mesh, stream({track({from("10.0.0.1:20002")}, {to("10.0.1.20:7000")})}, "b"));
    CHECK(mesh.take_destinations().wanted == Ways{way("10.0.1.20"), way("10.0.1.21")});
    mesh.resolve(way("10.0.1.20"), by(1));

    // A stream is altered while its destination is shared: not forgotten.
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.21:6000")})}, "a"));
    auto changes = mesh.take_destinations();
    CHECK(changes.wanted.empty());
    CHECK(changes.forgotten.empty());
    CHECK(mesh.resolution(way("10.0.1.20")).hop);

    // Alone, but used before and after: neither.
    put(mesh, stream({track({from("10.0.0.1:20002")}, {to("10.0.1.20:7100")})}, "b"));
    changes = mesh.take_destinations();
    CHECK(changes.wanted.empty());
    CHECK(changes.forgotten.empty());
    CHECK(mesh.resolution(way("10.0.1.20")).hop == by(1).hop);

    CHECK(mesh.remove("b"));
    CHECK_FALSE(mesh.remove("b"));
    put(mesh, stream({track({from("10.0.0.1:20004")}, {to("10.0.1.20:7100")})}, "c"));  // takes it over in time
    changes = mesh.take_destinations();
    CHECK(changes.wanted.empty());
    CHECK(changes.forgotten.empty());

    CHECK(mesh.remove("c"));
    CHECK(mesh.remove("a"));
    changes = mesh.take_destinations();
    CHECK(changes.forgotten == Ways{way("10.0.1.20"), way("10.0.1.21")});
    CHECK(mesh.take_destinations().forgotten.empty());

    // Come and gone between two calls: nobody was asked, nobody is told.
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.30:6000")})}, "d"));
    mesh.remove("d");
    changes = mesh.take_destinations();
    CHECK(changes.wanted.empty());
    CHECK(changes.forgotten.empty());

    // Back again: it has to be looked up anew.
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")})}, "a"));
    CHECK(mesh.take_destinations().wanted == Ways{way("10.0.1.20")});
    CHECK_FALSE(mesh.resolution(way("10.0.1.20")).hop);
}

TEST_CASE("sources come before they go", "[mesh]") {
    auto mesh = model();
    const auto a = from("239.1.1.1:5004"), b = from("239.1.1.2:5004");
    put(mesh, stream({track({a}, {})}));
    auto sources = mesh.take_sources();
    CHECK(sources.added == Sources{a});
    CHECK(sources.removed.empty());
    CHECK(mesh.take_sources().added.empty());

    put(mesh, stream({track({a}, {to("10.0.1.20:6000")})}));  // made anew: held on to throughout
    sources = mesh.take_sources();
    CHECK(sources.added == Sources{a});
    CHECK(sources.removed == Sources{a});

    put(mesh, stream({track({b}, {to("10.0.1.20:6000")})}));
    sources = mesh.take_sources();
    CHECK(sources.added == Sources{b});
    CHECK(sources.removed == Sources{a});

    mesh.remove("camera");
    CHECK(mesh.take_sources().removed == Sources{b});
}

TEST_CASE("a removed stream's flows leave with the next table", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {})}, "a"));
    put(mesh, stream({track({from("10.0.0.1:20002")}, {})}, "b"));
    mesh.compile();
    mesh.remove("a");
    auto table = mesh.compile();
    REQUIRE(table);
    CHECK(table->size() == 1);
    CHECK(arriving(*table, "10.0.0.1:20000") == nullptr);
    CHECK(arriving(*table, "10.0.0.1:20002"));
    CHECK(mesh.keys(0).size() == 2);
    mesh.remove("b");
    put(mesh, stream({track({from("10.0.0.1:20002")}, {})}, "c"));  // the same key for another stream
    table = mesh.compile();
    CHECK(table->size() == 1);
    CHECK(arriving(*table, "10.0.0.1:20002")->path == mesh.tracks()[0]->paths[0].state.get());
}

TEST_CASE("what collides is refused and changes nothing", "[mesh]") {
    auto mesh = model();
    auto from_friend = from("10.0.0.1:20100");
    from_friend.from = ip("10.9.9.9");
    auto group_on_lan = from("239.1.1.1:5004");
    group_on_lan.port = "lan";
    auto group_on_wan = to("239.9.9.9:5004");
    group_on_wan.port = "wan";
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.0.7:20000")}), track({from_friend}, {group_on_wan}),
                      track({group_on_lan}, {})},
                     "a"));
    put(mesh, stream({track({from("10.0.0.1:20002")}, {to("10.0.1.20:6000")})}, "b"));
    mesh.take_destinations();
    mesh.take_sources();
    mesh.compile();
    const auto tracks = mesh.tracks();

    const auto wrong = [&](config::Track track, const std::string& says) {
        const std::string why = refusal(mesh, stream({track}, "b"));
        CHECK_THAT(why, Catch::Contains(says));
    };
    const auto receiver = to("10.0.1.21:6000");
    wrong(track({from("10.0.0.1:20000")}, {receiver}), "source 10.0.0.1:20000: stream 'a' has it");
    wrong(track({from("10.0.0.1:20001")}, {receiver}),
          "source 10.0.0.1:20001: stream 'a' has it, or needs it for RTCP");
    wrong(track({from("10.0.0.1:19999")}, {receiver}),
          "source 10.0.0.1:19999: stream 'a' has it, or needs it for RTCP");
    wrong(track({from_friend}, {receiver}), "stream 'a' has it");
    wrong(track({from("10.0.0.7:20000")}, {receiver}), "source 10.0.0.7:20000: stream 'a' sends there");
    wrong(track({from("10.0.0.9:20000")}, {receiver, to("10.0.0.1:20000")}),
          "output 10.0.0.1:20000: it, or its RTCP, feeds a source of stream 'a'");
    wrong(track({from("10.0.0.9:20000")}, {to("10.0.0.9:20000")}),
          "output 10.0.0.9:20000: it, or its RTCP, feeds a source of the stream itself");
    for (const char* near : {"10.0.0.1:19999", "10.0.0.1:20001"})  // by RTCP, or to the port of RTCP
        wrong(track({from("10.0.0.9:20000")}, {to(near)}), "feeds a source of stream 'a'");
    wrong(track({from("10.0.0.7:20001")}, {receiver}), "source 10.0.0.7:20001: stream 'a' sends there, or its RTCP");
    auto group_out = to("239.1.1.1:5004");
    wrong(track({from("10.0.0.9:20000")}, {group_out}), "loop");
    group_out.port = "lan";
    wrong(track({from("10.0.0.9:20000")}, {group_out}), "loop");
    auto group_in = from("239.9.9.9:5004");
    wrong(track({group_in}, {receiver}), "loop");

    CHECK(mesh.tracks() == tracks);
    CHECK(mesh.stream("b")->configured() == stream({track({from("10.0.0.1:20002")}, {to("10.0.1.20:6000")})}, "b"));
    CHECK(mesh.take_destinations().wanted.empty());
    CHECK(mesh.take_sources().added.empty());
    CHECK(mesh.compile() == nullptr);
    CHECK(refusal(mesh, stream({track({from("10.0.0.1:20000")}, {})}, "new")).starts_with("source"));
    CHECK(mesh.stream("new") == nullptr);

    // What the configuration file may hold side by side may be put side by side.
    auto from_another = from("10.0.0.1:20100");
    from_another.from = ip("10.9.9.8");
    put(mesh, stream({track({from_another}, {receiver})}, "b"));
    put(mesh, stream({track({from("10.0.0.1:20100")}, {receiver})}, "anyone"));
    auto tagged = from("10.0.0.1:20000");
    tagged.vlan = 3;
    put(mesh, stream({track({tagged}, {receiver})}, "tagged"));
    group_out.port = "wan";  // from one network to the other
    put(mesh, stream({track({from("10.0.0.9:20000")}, {group_out})}, "through"));
    group_in.port = "lan";
    put(mesh, stream({track({group_in}, {receiver})}, "back"));
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.0.7:20000"), to("10.0.0.7:20002")})}, "a"));  // itself
}

TEST_CASE("of two streams that send to one place each makes a loop", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {to("10.0.0.7:20000")})}, "a"));
    put(mesh, stream({track({from("10.0.0.1:20002")}, {to("10.0.0.7:20000")})}, "b"));
    for (const char* name : {"a", "b"})
        CHECK_THAT(refusal(mesh, stream({track({from("10.0.0.7:20000")}, {})}, name)), Catch::Contains("sends there"));
}

TEST_CASE("while forwarding is stopped, no table finds anything, whatever changes", "[mesh]") {
    auto mesh = model();
    put(mesh, stream({track({from("10.0.0.1:20000")}, {})}, "a"));
    CHECK(arriving(*mesh.compile(), "10.0.0.1:20000"));
    CHECK(mesh.forwarding());
    mesh.set_forwarding(false);
    CHECK_FALSE(mesh.forwarding());
    put(mesh, stream({track({from("10.0.0.1:20002")}, {})}, "b"));
    const auto stopped = mesh.compile();
    REQUIRE(stopped);
    const auto held_back = [&](const flow::Table& table, uint16_t port) {
        const flow::Key key{ip("10.0.0.1"), port, 0};
        return table.held_back(flow::hash(key), key, 0, [] { return ip("10.9.9.9"); });
    };
    for (const uint16_t port : {uint16_t{20000}, uint16_t{20002}}) {
        CHECK(arriving(*stopped, port == 20000 ? "10.0.0.1:20000" : "10.0.0.1:20002") == nullptr);
        CHECK(held_back(*stopped, port));
    }
    CHECK(held_back(*stopped, 20004) == nullptr);
    mesh.set_forwarding(true);
    const auto running = mesh.compile();
    REQUIRE(running);
    CHECK(arriving(*running, "10.0.0.1:20000"));
    CHECK(arriving(*running, "10.0.0.1:20002"));
    CHECK(held_back(*running, 20000) == nullptr);
}

TEST_CASE("a path of which repair is taken, or packets are asked for again, goes on counting", "[mesh]") {
    auto mesh = model();
    auto source = from("10.0.0.1:20000");
    put(mesh, stream({track({source}, {to("10.0.1.20:6000")})}));
    const auto state = mesh.tracks()[0]->paths[0].state;
    source.fec = config::SourceFec{};
    put(mesh, stream({track({source}, {to("10.0.1.20:6000")})}));
    CHECK(mesh.tracks()[0]->paths[0].state == state);
    source.fec.reset();
    source.nack = config::Nack{};
    put(mesh, stream({track({source}, {to("10.0.1.20:6000")})}));
    CHECK(mesh.tracks()[0]->paths[0].state == state);
    source.from = ip("10.0.0.9");  // that is another path
    put(mesh, stream({track({source}, {to("10.0.1.20:6000")})}));
    CHECK(mesh.tracks()[0]->paths[0].state != state);
}

TEST_CASE("a second path at the address of the first counts for itself", "[mesh]") {
    auto mesh = model();
    const auto first = from("10.0.0.1:20000");
    auto second = first;
    second.ssrc = 1010;
    put(mesh, stream({track({first}, {to("10.0.1.20:6000")})}));
    const auto state = mesh.tracks()[0]->paths[0].state;
    put(mesh, stream({track({first, second}, {to("10.0.1.20:6000")})}));
    const auto& paths = mesh.tracks()[0]->paths;
    CHECK(paths[0].state == state);
    CHECK(paths[1].state != state);
}

TEST_CASE("a track that is renamed by the end of another keeps its state", "[mesh]") {
    auto mesh = model();
    const auto first = track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")});
    const auto second = track({from("10.0.0.1:20002")}, {to("10.0.1.20:7000")});
    put(mesh, stream({first, second}));
    mesh.compile();
    const auto* state = mesh.tracks()[1]->paths[0].state.get();
    const auto flows = mesh.tracks()[1]->flows;
    put(mesh, stream({second}));
    REQUIRE(mesh.tracks().size() == 1);
    CHECK(mesh.tracks()[0]->name == "video");
    CHECK(mesh.tracks()[0]->paths[0].state.get() == state);
    CHECK(mesh.tracks()[0]->flows == flows);
    put(mesh, stream({first, second}));
    CHECK(mesh.tracks()[1]->name == "video-2");
    CHECK(mesh.tracks()[1]->paths[0].state.get() == state);
}

TEST_CASE("a reload says what is added, removed and touched", "[mesh]") {
    auto mesh = model();
    const auto a = stream({track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")})}, "a");
    const auto b = stream({track({from("10.0.0.1:20002")}, {to("10.0.1.20:7000")})}, "b");
    const auto c = stream({track({from("10.0.0.1:20004")}, {})}, "c");
    auto changes = mesh.replace({b, a});
    CHECK(changes.added == Names{"b", "a"});
    CHECK(changes.removed.empty());
    CHECK(changes.touched.empty());
    mesh.compile();
    const auto* track_a = mesh.stream("a")->tracks[0].get();

    auto moved = a;  // elsewhere in the file: the same
    moved.at = {99, 3};
    moved.tracks[0].sources[0].at = {101, 7};
    auto touched = b;
    touched.tracks[0].outputs[0].ttl = 5;
    changes = mesh.replace({moved, touched, c});
    CHECK(changes.added == Names{"c"});
    REQUIRE(changes.touched.size() == 1);
    CHECK(changes.touched[0].stream == "b");
    CHECK(changes.touched[0].how == Names{"output 10.0.1.20:7000 changed"});
    CHECK(changes.removed.empty());
    CHECK(mesh.stream("a")->tracks[0].get() == track_a);

    changes = mesh.replace({c});
    CHECK(changes.removed == Names{"a", "b"});
    CHECK(changes.added.empty());
    CHECK(mesh.tracks().size() == 1);

    // A source passes from one stream to another in one step.
    auto heir = stream({track({from("10.0.0.1:20004")}, {})}, "heir");
    changes = mesh.replace({heir});
    CHECK(changes.added == Names{"heir"});
    CHECK(changes.removed == Names{"c"});
    const auto table = mesh.compile();
    CHECK(table->size() == 1);
    CHECK(arriving(*table, "10.0.0.1:20004")->path == mesh.tracks()[0]->paths[0].state.get());
    CHECK_THAT(refusal(mesh, c), Catch::Contains("stream 'heir' has it"));
}

TEST_CASE("a worker that lost its tracks is chosen again", "[mesh]") {
    auto mesh = model();
    auto source = from("10.0.0.1:20000");
    source.port = "wan";
    const auto next = [&](const char* name) {
        source.rtp.port = static_cast<uint16_t>(source.rtp.port + 2);
        put(mesh, stream({track({source}, {})}, name));
        return mesh.stream(name)->tracks[0]->owner;
    };
    CHECK(next("a") == 0);
    CHECK(next("b") == 1);
    CHECK(next("c") == 0);
    mesh.remove("a");
    mesh.remove("c");
    CHECK(next("d") == 0);
    std::set<uint16_t> owners{next("e"), next("f")};
    CHECK(owners == std::set<uint16_t>{0, 1});  // one each
}
