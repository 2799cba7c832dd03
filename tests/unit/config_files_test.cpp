// The files of config/: the reference works and shows every key, and so do the examples work.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "config_cases.hpp"

using namespace penstock;
using namespace penstock::config;

namespace {

const std::filesystem::path kFiles = std::filesystem::path{PENSTOCK_SOURCE_ROOT} / "config";

std::string contents(const std::filesystem::path& path) {
    std::ifstream in{path};
    INFO(path);
    REQUIRE(in.good());
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

// The reference with its commented settings in force: "#" and a space is prose, "#" alone or with an indentation is
// not.
std::string uncommented(const std::string& yaml) {
    std::istringstream in{yaml};
    std::string out;
    for (std::string line; std::getline(in, line); out += line + '\n')
        if (line.size() > 1 && line[0] == '#' && (line[1] != ' ' || line[2] == ' ')) line.erase(0, 1);
    return out;
}

// The keys that the loader says it allows where it met an unknown one.
std::set<std::string> allowed_in(const std::string& yaml) {
    const auto config = load(yaml, environment, "host");
    INFO(yaml);
    REQUIRE_FALSE(config.has_value());
    const auto& problems = config.error();
    const auto found = std::find_if(problems.begin(), problems.end(),
                                    [](const Problem& p) { return p.text.find("unknown key") != std::string::npos; });
    REQUIRE(found != problems.end());
    std::istringstream words{found->text.substr(found->text.find("Allowed: ") + 9)};
    std::set<std::string> keys;
    for (std::string word; std::getline(words >> std::ws, word, ',');) keys.insert(word);
    return keys;
}

}  // namespace

TEST_CASE("the reference loads as it is, and with all its settings in force") {
    const std::string yaml = contents(kFiles / "penstock.yaml");
    const Config as_it_is = right(yaml);
    CHECK(as_it_is.node == "host");
    CHECK(as_it_is.ports.size() == 1);
    REQUIRE(as_it_is.streams.size() == 2);
    const Pull camera{*location_of("rtsp://10.0.0.7/stream1"), Reach::automatic, true};  // the rest as by default
    CHECK(as_it_is.streams[1].rtsp == camera);
    const Config all = right(uncommented(yaml));
    CHECK(all.node == "edge-1");
    CHECK(all.ports.size() == 8);
    std::set<Driver> drivers;
    for (const Port& port : all.ports) drivers.insert(port.driver);
    CHECK(drivers.size() == 8);
    CHECK(all.streams[0].tracks[0].sources[0].vlan == 100);
    REQUIRE(all.rtsp.tls.has_value());
    CHECK(all.rtsp.tls->listen == std::vector{*Endpoint::parse("[::]:322")});
    CHECK(all.streams.back().rtsp->location.tls);
}

TEST_CASE("the defaults that the reference states are in force") {
    const Config reference = right(contents(kFiles / "penstock.yaml"));
    const Config defaults = right("");
    CHECK(reference.log.level == defaults.log.level);
    CHECK(reference.log.format == defaults.log.format);
    CHECK(reference.workers.cores == defaults.workers.cores);
    CHECK(reference.workers.idle == defaults.workers.idle);
    CHECK(reference.memory.hugepages == defaults.memory.hugepages);
    CHECK(reference.memory.mbufs == packet_buffers(defaults));
    CHECK(reference.control == defaults.control);
    CHECK(reference.metrics.listen == defaults.metrics.listen);
    CHECK(reference.media.first_port == defaults.media.first_port);
    CHECK(reference.rtsp.session_timeout == defaults.rtsp.session_timeout);
    CHECK(reference.rtsp.connections_per_address == defaults.rtsp.connections_per_address);
    CHECK(reference.rtsp.sessions_per_address == defaults.rtsp.sessions_per_address);
    CHECK(reference.rtsp.requests_per_address == defaults.rtsp.requests_per_address);
    CHECK(reference.rtsp.streams_per_address == defaults.rtsp.streams_per_address);
    CHECK(reference.rtsp.failures_per_address == defaults.rtsp.failures_per_address);
    CHECK(reference.rtsp.access.realm == defaults.rtsp.access.realm);
    CHECK(reference.rtsp.access.basic == defaults.rtsp.access.basic);
    CHECK(reference.rtsp.publish == Publish{});
    CHECK(reference.media.last_port == defaults.media.last_port);
    CHECK(reference.ports[0].mode == Port{}.mode);
    CHECK(reference.ports[0].zero_copy == Port{}.zero_copy);
    CHECK(reference.ports[0].segmentation == Port{}.segmentation);
}

TEST_CASE("the reference shows every key") {
    const std::string reference = uncommented(contents(kFiles / "penstock.yaml"));
    // How an unknown key is put into each section. A new section fails here until it is added.
    const std::map<std::string, std::vector<std::string>> kInside = {
        {"node", {}},
        {"log", {"{ ?: 0 }"}},
        {"workers", {"{ ?: 0 }"}},
        {"memory", {"{ ?: 0 }"}},
        {"control", {"{ ?: 0 }"}},
        {"metrics", {"{ ?: 0 }"}},
        {"media", {"{ ?: 0 }"}},
        {"rtsp",
         {"{ ?: 0 }", "{ per_address: { ?: 0 } }", "{ publish: { ?: 0 } }", "{ multicast: { ?: 0 } }",
          "{ users: [{ ?: 0 }] }", "{ users: [{ digest: { ?: 0 } }] }", "{ rules: [{ ?: 0 }] }", "{ tls: { ?: 0 } }"}},
        {"ports", {"[{ ?: 0 }]"}},
        {"streams",
         {"[{ ?: 0 }]", "[{ tracks: [{ ?: 0 }] }]", "[{ tracks: [{ sources: [{ ?: 0 }] }] }]",
          "[{ tracks: [{ outputs: [{ ?: 0 }] }] }]", "[{ rtsp: { ?: 0 } }]"}}};
    std::set<std::string> keys;
    for (const std::string& section : allowed_in("zzz: 0")) {
        keys.insert(section);
        REQUIRE(kInside.contains(section));
        for (std::string inside : kInside.at(section)) {
            inside.replace(inside.find('?'), 1, "zzz");
            keys.merge(allowed_in(section + ": " + inside));
        }
    }
    CHECK(keys.size() > 30);
    for (const std::string& key : keys) {
        INFO(key);
        CHECK(std::regex_search(reference, std::regex{"(^|\\n) *(- )?(\\{ )?" + key + ":"}));
    }
}

TEST_CASE("every example loads") {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator{kFiles / "examples"}) {
        INFO(entry.path());
        const Config config = right(contents(entry.path()));
        CHECK_FALSE(config.ports.empty());
        CHECK_FALSE(config.streams.empty());
        count++;
    }
    CHECK(count >= 4);
}
