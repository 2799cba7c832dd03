// One report as a table and as JSON.
#include "control/cli/report.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace penstock::cli;

namespace {

Report sample() {
    return {{{"things",
              "the things",
              {{"name", "name"}, {"count", "count"}, {"share", "share"}, {"good", "good"}, {"hidden", ""}},
              {{std::string("a"), uint64_t{7}, 0.5, true, std::string("x")},
               {std::string("longer"), uint64_t{123456}, Cell{}, false, Cell{}}}},
             {"none", "", {{"name", "name"}}, {}}}};
}

}  // namespace

TEST_CASE("a report as text: numbers to the right, what is not known as a dash", "[report]") {
    CHECK(sample().text() ==
          "the things\n"
          "name     count  share  good\n"
          "a            7  0.500  yes\n"
          "longer  123456      -  no\n"
          "\n"
          "name\n"
          "(none)\n");
    CHECK(Report{}.text().empty());
}

TEST_CASE("a report as JSON: one object on one line", "[report]") {
    CHECK(sample().json() ==
          "{\"things\":[{\"name\":\"a\",\"count\":7,\"share\":0.5,\"good\":true,\"hidden\":\"x\"},"
          "{\"name\":\"longer\",\"count\":123456,\"share\":null,\"good\":false,\"hidden\":null}],\"none\":[]}\n");
    CHECK(Report{}.json() == "{}\n");
}

TEST_CASE("JSON has no number that it cannot write, and no character that breaks it", "[report]") {
    const auto one = [](Cell cell) { return Report{{{"s", "", {{"v", "v"}}, {{std::move(cell)}}}}}.json(); };
    CHECK(one(std::numeric_limits<double>::quiet_NaN()) == "{\"s\":[{\"v\":null}]}\n");
    CHECK(one(std::numeric_limits<double>::infinity()) == "{\"s\":[{\"v\":null}]}\n");
    CHECK(one(std::numeric_limits<uint64_t>::max()) == "{\"s\":[{\"v\":18446744073709551615}]}\n");
    CHECK(one(std::string()) == "{\"s\":[{\"v\":\"\"}]}\n");
    CHECK(json_string("plain") == "\"plain\"");
    CHECK(json_string("say \"hi\" \\ there") == R"("say \"hi\" \\ there")");
    CHECK(json_string("a\nb\tc\r\x01\x1f") == R"("a\nb\tc\u000d\u0001\u001f")");
    CHECK(json_string("Stra\xc3\x9f"
                      "e") ==
          "\"Stra\xc3\x9f"
          "e\"");
}

TEST_CASE("a table wider than a terminal wraps where it is widest, between words", "[report]") {
    const std::string why(
        "the driver cannot send chained buffers, so that each receiver gets a copy of its own, which costs");
    const Report report{{{"legs",
                          "",
                          {{"leg", "leg"}, {"packets", "packets"}, {"why", "why"}, {"port", "port"}},
                          {{std::string("[fd01::20]:6000"), uint64_t{7}, why, std::string("wan")}}}}};
    CHECK(report.text() ==
          "leg              packets  why                                                                   port\n"
          "[fd01::20]:6000        7  the driver cannot send chained buffers, so that each receiver gets a  wan\n"
          "                          copy of its own, which costs\n");
    // A word that is longer than the terminal stays whole.
    const std::string path(150, 'x');
    CHECK(Report{{{"files", "", {{"file", "file"}}, {{path}}}}}.text() == "file\n" + path + "\n");
}

TEST_CASE("a table that is too wide leaves out what says nothing, and then goes on below", "[report]") {
    const std::string wide(30, 'x');
    const std::vector<Cell> row{std::string("video"), std::string("10.0.1.20:6000"), wide, wide, Cell{}, uint64_t{7}};
    std::vector<Column> columns{{"track", "track"},          {"leg", "leg"}, {"a", "a"}, {"b", "b"},
                                {"why", "why not this one"}, {"n", "n"}};
    CHECK(Report{{{"legs", "", columns, {row}}}}.text() ==
          "track  leg             a                               b                               n\n"
          "video  10.0.1.20:6000  " +
              wide + "  " + wide + "  7\n");
    auto wider = row;
    wider[4] = wide;
    CHECK(Report{{{"legs", "of them", columns, {wider}}}}.text() ==
          "of them\n"
          "track  leg             a                               b\n"
          "video  10.0.1.20:6000  " +
              wide + "  " + wide +
              "\n"
              "track  leg             why not this one                n\n"
              "video  10.0.1.20:6000  " +
              wide + "  7\n");
    columns.resize(4);  // as wide as a terminal: all of it is there
    const std::vector<Cell> narrow{std::string("video"), Cell{}, wide, std::string(44, 'y')};
    CHECK(Report{{{"legs", "", columns, {narrow}}}}.text().starts_with("track  leg  a"));
}
