// What an operator may ask of a capture, and which packets that means.
#include <catch2/catch.hpp>

#include "control/capture/options.hpp"
#include "control/capture/select.hpp"
#include "mesh_cases.hpp"

using namespace penstock;
using namespace penstock::capture;
using namespace penstock::test;
using What = flow::CaptureFilter::What;

namespace {

Options asked(std::string_view words) { return parse_options(words).value(); }

std::vector<std::string> labels_of(const Selection& s, std::initializer_list<const void*> states) {
    std::vector<std::string> labels;
    for (const void* state : states) {
        const auto* entry = s.filter->find(state);
        labels.push_back(entry == nullptr ? "" : s.labels.at(entry->subject));
    }
    return labels;
}

}  // namespace

TEST_CASE("what may be asked of a capture", "[capture]") {
    const auto plain = parse_options("");
    REQUIRE(plain);
    CHECK(plain->file.empty());
    CHECK(plain->count == 1000);
    CHECK(plain->rate == 10'000);
    CHECK((plain->path.empty() && plain->leg.empty() && !plain->drops));
    const auto full = parse_options("  leg 10.0.1.20:6000   count 5 file /tmp/x.pcapng rate 7 ");
    REQUIRE(full);
    CHECK(full->file == "/tmp/x.pcapng");
    CHECK(full->count == 5);
    CHECK(full->rate == 7);
    CHECK(full->leg == "10.0.1.20:6000");
    CHECK(parse_options("drops")->drops);
    CHECK(parse_options("path 2 count 1000000000")->path == "2");
    const std::pair<const char*, const char*> cases[] = {
        {"count 0", "count '0': a number from 1 to 1000000000"},
        {"count -1", "count '-1'"},
        {"count 1000000001", "count '1000000001'"},
        {"count 99999999999999999999", "count '99999999999999999999'"},
        {"count 5x", "count '5x'"},
        {"count", "count: a value is missing"},
        {"rate 0", "rate '0': a number from 1 to 1000000"},
        {"file x.pcapng", "a path from / on"},
        {"file", "a value is missing"},
        {"path 1 leg 1", "one of them"},
        {"path 1 drops", "one of them"},
        {"count 1 count 2", "count is given twice"},
        {"drops drops", "drops is given twice"},
        {"colour red", "'colour' is not understood: file F, count N"},
    };
    for (const auto& [line, says] : cases) {
        INFO(line);
        const auto options = parse_options(line);
        REQUIRE_FALSE(options);
        CHECK_THAT(options.error().text, Catch::Contains(says));
    }
    CHECK(default_file("camera-1", 1'700'000'000) == "/var/tmp/penstock-camera-1-20231114T221320Z.pcapng");
}

TEST_CASE("which packets an operator means", "[capture]") {
    auto mesh = model();
    put(mesh,
        stream({track({from("10.0.0.1:20000"), from("10.0.0.2:20010")}, {to("10.0.1.1:6000"), to("10.0.1.2:6000")}),
                track({from("10.0.0.1:20002")}, {to("10.0.1.1:6002")}, "audio")}));
    put(mesh, stream({track({from("10.0.0.1:20020")}, {to("10.0.1.1:7000")})}, "other"));
    const mesh::Stream& camera = *mesh.stream("camera");
    const mesh::Track &video = *camera.tracks[0], &audio = *camera.tracks[1];
    const mesh::Track& other = *mesh.stream("other")->tracks[0];
    const std::initializer_list<const void*> paths{video.paths[0].state.get(), video.paths[1].state.get(),
                                                   audio.paths[0].state.get(), other.paths[0].state.get()};
    const std::initializer_list<const void*> legs{video.outputs[0].state.get(), video.outputs[1].state.get(),
                                                  audio.outputs[0].state.get(), other.outputs[0].state.get()};
    const std::string v1 = "stream camera, track video, path 1", v2 = "stream camera, track video, path 2",
                      a1 = "stream camera, track audio, path 1";
    const std::string l1 = "stream camera, track video, leg 10.0.1.1:6000",
                      l2 = "stream camera, track video, leg 10.0.1.2:6000",
                      l3 = "stream camera, track audio, leg 10.0.1.1:6002";
    using Labels = std::vector<std::string>;

    const auto all = select(camera, {});
    REQUIRE(all);
    CHECK(all->filter->what == What::arrivals);
    CHECK_FALSE(all->filter->anyone);
    CHECK(labels_of(*all, paths) == Labels{v1, v2, a1, ""});
    CHECK(labels_of(*all, legs) == Labels(4));
    CHECK(labels_of(*select(camera, asked("path 2")), paths) == Labels{"", v2, "", ""});
    CHECK(labels_of(*select(camera, asked("path 1")), paths) == Labels{v1, "", a1, ""});
    CHECK(select(camera, asked("path 1"))->what == "stream camera, path 1");

    const auto leg = select(camera, asked("leg 2"));
    REQUIRE(leg);
    CHECK(leg->filter->what == What::copies);
    CHECK(labels_of(*leg, legs) == Labels{"", l2, "", ""});
    CHECK(leg->what == "stream camera, leg 10.0.1.2:6000");
    CHECK(labels_of(*select(camera, asked("leg 3")), legs) == Labels{"", "", l3, ""});
    CHECK(labels_of(*select(camera, asked("leg 10.0.1.1:6000")), legs) == Labels{l1, "", "", ""});

    const auto drops = select(camera, asked("drops"));
    REQUIRE(drops);
    CHECK(drops->filter->what == What::drops);
    CHECK_FALSE(drops->filter->anyone);
    CHECK(labels_of(*drops, paths) == Labels{v1, v2, a1, ""});
    CHECK(labels_of(*drops, legs) == Labels{l1, l2, l3, ""});
    const auto everywhere = select_drops(mesh, {});
    REQUIRE(everywhere);
    CHECK(everywhere->filter->what == What::drops);
    CHECK(everywhere->filter->anyone);
    CHECK(labels_of(*everywhere, paths).back() == "stream other, track video, path 1");

    CHECK(select(camera, asked("path 3")).error().text == "stream 'camera' has no path 3; it has 1, 2");
    CHECK(select(camera, asked("leg 4")).error().text ==
          "stream 'camera' has no leg 4; it has 1 (10.0.1.1:6000), 2 (10.0.1.2:6000), 3 (10.0.1.1:6002)");
    CHECK_FALSE(select(camera, asked("leg 0")));
    CHECK_FALSE(select_drops(mesh, asked("leg 1")));
    std::vector<config::Output> many;
    for (int i = 0; i < 20; i++) many.push_back(to(("10.0.1.1:" + std::to_string(8000 + 2 * i)).c_str()));
    put(mesh, stream({track({from("10.0.0.1:20030")}, many)}, "many"));
    CHECK_THAT(select(*mesh.stream("many"), asked("leg x")).error().text,
               Catch::Contains("8 (10.0.1.1:8014) and 12 more"));
}
