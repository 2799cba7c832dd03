// What `show stream NAME repair` tells of a small model.
#include "control/config/differences.hpp"
#include "shown.hpp"
#include "support/fec.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("show stream repair tells what FEC made good, and what is made of it", "[show]") {
    mesh::Mesh mesh = model();
    auto video = track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000"), to("10.0.1.21:6000"), to("10.0.1.22:6000")});
    video.sources[0].fec = config::SourceFec{};
    video.outputs[0].fec = video.outputs[1].fec = config::OutputFec{.code = st2022({.columns = 4, .rows = 4})};
    video.outputs[0].ttl = 1;
    put(mesh, stream({video, track({from("10.0.0.1:20010")}, {}, "audio")}));
    const mesh::Track& t = *mesh.tracks()[0];
    REQUIRE(t.extras().decoder);
    for (unsigned n = 0; n < 32; n++) {
        const Bytes packet = media_packet(n, 3000 * n, numbered(50));
        const auto repair = t.extras().encodings.at(0).encoder->protect(packet);
        if (n != 5 && n != 6) t.extras().decoder->media(packet);
        if (repair) t.extras().decoder->repair(kSt2022, whole(*repair));
        while (t.extras().decoder->recover()) {
        }
    }
    const auto report = cli::show_stream_repair(*mesh.stream("camera"));
    REQUIRE(report.sections.size() == 6);
    const Section &in = report.sections[0], &out = report.sections[1];
    REQUIRE(in.rows.size() == 1);
    CHECK(text(in, 0, "track") == "video");
    CHECK(text(in, 0, "by") == "fec");
    CHECK(number(in, 0, "recovered") == 2);
    CHECK(number(in, 0, "unrecovered") == 0);
    CHECK(number(in, 0, "repair_columns") == t.extras().decoder->counters().repair[0].read());
    CHECK(number(in, 0, "repair_rows") == 8);
    CHECK(number(in, 0, "refused") == 0);
    REQUIRE(out.rows.size() == 1);
    CHECK(text(out, 0, "fec") == "st2022-1 4x4 row+column block");
    CHECK(number(out, 0, "legs") == 2);
    CHECK(number(out, 0, "repair_rows") == 8);
    CHECK(text(cli::show_config(mesh).sections[0], 0, "fec") == "st2022-1");
    CHECK(text(cli::show_config(mesh).sections[0], 1, "fec") == "st2022-1 4x4 row+column block");
    CHECK(unknown(cli::show_config(mesh).sections[0], 3, "fec"));
}

TEST_CASE("show stream repair tells what was asked for again, and what was sent again", "[show]") {
    mesh::Mesh mesh = model();
    auto video = track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000"), to("239.1.1.1:6000")});
    video.sources[0].nack = config::Nack{};
    video.feedback = config::Feedback{};
    put(mesh, stream({video, track({from("10.0.0.1:20010")}, {}, "audio")}));
    const mesh::Track& t = *mesh.tracks()[0];
    t.extras().asking->arrived(1, 7, 0, 0);
    t.extras().asking->arrived(3, 7, 0, 0);
    std::array<rtp::Asking::Due, 4> numbers;
    REQUIRE(t.extras().asking->due(uint64_t{1} << 27, numbers) == 1);
    t.extras().asking->arrived(2, 7, 0, uint64_t{1} << 28);
    t.outputs[0].extras().feedback->asked.add(3);
    t.outputs[0].extras().feedback->not_kept.add();
    t.outputs[0].extras().feedback->round_trip.set(uint64_t{1} << 31);
    const auto report = cli::show_stream_repair(*mesh.stream("camera"));
    CHECK(report.sections[0].rows.empty());
    CHECK(report.sections[2].rows.empty());  // one path: not live-live
    const Section &asked = report.sections[3], &resent = report.sections[4];
    REQUIRE(asked.rows.size() == 1);
    CHECK(text(asked, 0, "track") == "video");
    CHECK(number(asked, 0, "asked") == 1);
    CHECK(number(asked, 0, "recovered") == 1);
    REQUIRE(resent.rows.size() == 1);  // a group is nobody who could ask
    CHECK(text(resent, 0, "leg") == "10.0.1.20:6000");
    CHECK(number(resent, 0, "asked") == 3);
    CHECK(number(resent, 0, "not_kept") == 1);
}

TEST_CASE("show stream repair tells what waits for packets before it", "[show]") {
    mesh::Mesh mesh = model();
    auto video = track({from("10.0.0.1:20000")}, {to("10.0.1.20:6000")});
    video.delay = std::chrono::milliseconds(50);
    put(mesh, stream({video, track({from("10.0.0.1:20010")}, {}, "audio")}));
    flow::Reorder& reorder = *mesh.tracks()[0]->extras().reorder;
    const auto leave = [](const flow::Reorder::Packet&) {};
    const auto arrive = [&](uint16_t sequence, uint64_t now) {
        if (reorder.arrived(sequence, 7, 0, now, leave) == flow::Reorder::Turn::waits) reorder.hold({}, now, [](void*) {});
    };
    for (const uint16_t n : std::initializer_list<uint16_t>{1, 3, 4}) arrive(n, 0);
    const auto shown = [&](const char* key) {
        const auto report = cli::show_stream_repair(*mesh.stream("camera"));
        REQUIRE(report.sections[5].rows.size() == 1);
        return number(report.sections[5], 0, key);
    };
    CHECK(shown("delay_ms") == 50);
    CHECK(shown("held") == 2);
    for (const uint16_t n : std::initializer_list<uint16_t>{2, 5}) arrive(n, uint64_t{1} << 32);
    CHECK(shown("held") == 0);
    CHECK(shown("reordered") == 2);
    CHECK(shown("late") == 1);
    CHECK(shown("passed_over") == 1);
    CHECK(shown("cut_short") == 0);
}

TEST_CASE("show stream repair tells once what nothing brought", "[show]") {
    mesh::Mesh mesh = model();
    const bool fec = GENERATE(true, false), nack = GENERATE(true, false);
    auto video = track({from("10.0.0.1:20000"), from("10.0.0.1:20010")}, {to("10.0.1.20:6000")});
    if (fec) video.sources[0].fec = config::SourceFec{};
    if (nack) video.sources[0].nack = config::Nack{};
    put(mesh, stream({video}));
    const auto report = cli::show_stream_repair(*mesh.stream("camera"));
    const Section &in = report.sections[0], &paths = report.sections[2], &asked = report.sections[3];
    REQUIRE(in.rows.size() == (fec ? 2 : 1));
    CHECK(text(in, 0, "by") == "path");
    CHECK(unknown(in, 0, "unrecovered") == (fec || nack));
    if (fec) CHECK(text(in, 1, "by") == "fec");
    if (fec) CHECK(unknown(in, 1, "unrecovered") == nack);
    CHECK(paths.rows.size() == 2);
    REQUIRE(asked.rows.size() == (nack ? 1 : 0));
    if (nack) CHECK(number(asked, 0, "unrecovered") == 0);
}

TEST_CASE("show stream repair tells which of two paths wins, and by how much", "[show]") {
    const Fixture f;
    const mesh::Track& track = *f.mesh.tracks()[0];
    uint64_t now = kSecond;
    for (uint32_t n = 1; n <= 400; n++, now += kSecond / 1000) {
        if (n % 4 != 0)
            track.extras().merge->take(0, track.paths[0].state->more->arrivals, static_cast<uint16_t>(n), n, 9, now);
        track.extras().merge->take(1, track.paths[1].state->more->arrivals, static_cast<uint16_t>(n), n, 9,
                                   now + kSecond / 2000);
    }
    const auto report = cli::show_stream_repair(f.camera());
    REQUIRE(report.sections.size() == 6);
    const Section &received = report.sections[0], &paths = report.sections[2];
    REQUIRE(received.rows.size() == 1);
    CHECK(text(received, 0, "by") == "path");
    CHECK(unknown(received, 0, "repair_rows"));
    REQUIRE(paths.rows.size() == 2);
    CHECK(std::get<double>(cell(paths, 0, "first_share")) == Approx(0.75));
    CHECK(number(paths, 1, "first") == 100);
    CHECK(number(paths, 1, "second") == 300);
    CHECK(std::get<double>(cell(paths, 0, "behind_ms")) == Approx(-0.5).margin(0.01));
    CHECK(std::get<double>(cell(paths, 1, "behind_ms")) == Approx(0.5).margin(0.01));
    CHECK(std::get<double>(cell(paths, 1, "behind_max_ms")) == Approx(0.5).margin(0.01));
    CHECK(std::get<double>(cell(paths, 0, "skew_ms")) == 450);
}

TEST_CASE("show config tells of two sources at one address which SSRC is whose", "[show]") {
    auto t = track({from("10.0.0.1:20000"), from("10.0.0.1:20000")}, {to("10.0.1.20:6000")});
    t.sources[0].ssrc = 1000;
    t.sources[1].ssrc = config::kOtherSsrc;
    mesh::Mesh mesh = model();
    put(mesh, stream({t}));
    const auto settings = cli::show_config(mesh).sections[0];
    CHECK(text(settings, 0, "ssrc") == "1000");
    CHECK(text(settings, 1, "ssrc") == "other");
    CHECK(unknown(settings, 2, "ssrc"));
    // And changes name them so.
    auto now = t;
    now.sources.pop_back();
    CHECK(config::differences(stream({t}), stream({now})) ==
          std::vector<std::string>{"source 10.0.0.1:20000?ssrc=other removed"});
}
