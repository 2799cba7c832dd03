// rtsp.realm, auth, users and rules.
#include "config_cases.hpp"

using namespace penstock::config;
using penstock::Ip;
using penstock::Prefix;
using Who = Rule::Who;

namespace {

// Files that the configuration names.
penstock::Result<std::string> file(const std::string& path) {
    if (path == "/run/secrets/eve") return "pa ss\r\nmore\n";
    if (path == "/run/secrets/empty") return "\n";
    return penstock::fail("No such file or directory");
}

Access access(const std::string& rtsp) {
    auto config = load("rtsp: { " + rtsp + " }\n", environment, "host", file);
    INFO(rtsp << '\n' << (config ? "" : format("file", config.error())));
    REQUIRE(config.has_value());
    return config->rtsp.access;
}

const std::string kMd5 = "939e7578ed9e3c518a452acee763bce9";
const std::string kSha = "cf4cf1dfa1ec1b5f2ba7e6b7e4b6b1c1cf4cf1dfa1ec1b5f2ba7e6b7e4b6b1c1";

}  // namespace

TEST_CASE("who is known, and by what") {
    CHECK(access("") == Access{});
    CHECK(access("").realm == "penstock");
    CHECK_FALSE(access("").rules);
    const Access all = access(
        "realm: \"my node\", auth: [digest, basic], users: [{ name: a, password: \"x:y\" }, " +
        ("{ name: b, password_file: /run/secrets/eve }, { name: c, digest: { md5: " + kMd5 + " } }, ") +
        "{ name: d, digest: { md5: " + kMd5 + ", sha-256: " + kSha + " } }, " + "{ name: e, password: \"${LEVEL}\" }]");
    CHECK(all.realm == "my node");
    CHECK(all.basic);
    CHECK(all.digest);
    CHECK(all.users == std::vector<User>{{"a", "x:y", "", ""},
                                         {"b", "pa ss", "", ""},
                                         {"c", "", kMd5, ""},
                                         {"d", "", kMd5, kSha},
                                         {"e", "debug", "", ""}});
    CHECK_FALSE(access("auth: [basic]").digest);
    // As other tools print them.
    std::string upper = kMd5;
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    CHECK(access("users: [{ name: c, digest: { md5: " + upper + " } }]").users[0].md5 == kMd5);

    const std::string one = "one of 'password', 'password_file' and 'digest'";
    const auto users = [](const std::string& user) { return "rtsp: { users: [{ " + user + " }] }\n"; };
    expect({{users("name: eve"), {{1, 17, one}}},
            {users("name: eve, password: x, digest: { md5: " + kMd5 + " }"), {{1, 17, one}}},
            {users("password: x"), {{1, 17, "'name' is missing"}}},
            {users("name: \"a:b\", password: x"), {{1, 25, "is not allowed"}}},
            {users("name: a, password: x }, { name: a, password: y"), {{1, 43, "is taken"}}},
            {users("name: a, password_file: secret"), {{1, 43, "the whole path of a file"}}},
            {users("name: a, digest: {}"), {{1, 36, "'md5' or 'sha-256' is missing"}}},
            {users("name: a, digest: { md5: 123 }"), {{1, 43, "32 hexadecimal digits"}}},
            {users("name: a, digest: { sha-256: " + kMd5 + " }"), {{1, 47, "64 hexadecimal digits"}}},
            {users("name: a, digest: { sha: x }"), {{1, 36, "missing"}, {1, 38, "unknown key"}}},
            {"rtsp: { auth: [] }\n", {{1, 15, "digest, basic or both"}}},
            {"rtsp: { auth: [bearer] }\n", {{1, 16, "one of digest, basic"}}},
            {"rtsp: { realm: \"a:b\" }\n", {{1, 16, "is not allowed"}}}});
}

TEST_CASE("files of passwords: what is wrong with them, and where they are named") {
    const auto problem = [](const std::string& path) {
        const auto config =
            load("rtsp:\n  users:\n    - { name: a, password_file: " + path + " }\n", environment, "host", file);
        REQUIRE_FALSE(config);
        REQUIRE(config.error().size() == 1);
        return format("f", config.error());
    };
    CHECK(problem("/none") ==
          "f:3:33: rtsp.users[0].password_file: '/none' cannot be read: No such file or directory\n");
    CHECK_THAT(problem("/run/secrets/empty"), Catch::Contains("the first line of '/run/secrets/empty' is not allowed"));
}

TEST_CASE("no secret is repeated") {
    for (const std::string user :
         {"{ name: a, password: \"s3cret\\u00e9\" }", "{ name: a, digest: { md5: s3cret } }"}) {
        const auto config = load("rtsp: { users: [" + user + "] }\n", environment, "host");
        REQUIRE_FALSE(config);
        CHECK_THAT(format("f", config.error()), !Catch::Contains("s3cret"));
    }
}

TEST_CASE("rules") {
    const std::string users = "users: [{ name: eve, password: x }, { name: adam, password: y }], ";
    const auto rules = *access(users +
                               "rules: [{ allow: [play], users: [eve, adam], streams: [\"cam-*\", \"gate?\"], "
                               "from: [10.0.0.0/8, 192.0.2.1, \"fd00::1\"] }, "
                               "{ deny: [play, publish], users: anyone }, { allow: [publish], users: known }]")
                            .rules;
    const auto prefix = [](const char* text) { return *Prefix::parse(text); };
    REQUIRE(rules.size() == 3);
    CHECK(rules[0] == Rule{true,
                           true,
                           false,
                           Who::named,
                           {"eve", "adam"},
                           {"cam-*", "gate?"},
                           {prefix("10.0.0.0/8"), prefix("192.0.2.1/32"), prefix("fd00::1/128")}});
    CHECK(rules[1] == Rule{false, true, true, Who::anyone});
    CHECK(rules[2] == Rule{true, false, true, Who::known});
    CHECK(access("rules: []").rules->empty());

    const auto one = [](const std::string& rule) { return "rtsp: { rules: [{ " + rule + " }] }\n"; };
    expect({{one("users: anyone"), {{1, 17, "one of 'allow' and 'deny'"}}},
            {one("allow: [play], deny: [play], users: anyone"), {{1, 17, "one of 'allow' and 'deny'"}}},
            {one("allow: [], users: anyone"), {{1, 26, "play, publish or both"}}},
            {one("allow: [watch], users: anyone"), {{1, 27, "one of play, publish"}}},
            {one("allow: play, users: anyone"), {{1, 26, "must be a list"}}},
            {one("allow: [play]"), {{1, 17, "'users' is missing"}}},
            {one("allow: [play], users: all"), {{1, 41, "one of anyone, known"}}},
            {one("allow: [play], users: known"), {{1, 41, "there are no users"}}},
            {one("allow: [play], users: [eve]"), {{1, 42, "'eve' is none of rtsp.users"}}},
            {one("allow: [play], users: anyone, streams: [\"a/b\"]"), {{1, 59, "names of streams"}}},
            {one("allow: [play], users: anyone, streams: []"), {{1, 58, "fits nothing"}}},
            {one("allow: [play], users: anyone, from: [10.0.0.0/33]"), {{1, 56, "a network such as"}}},
            {one("allow: [play], users: anyone, to: [x]"), {{1, 49, "unknown key 'to'"}}}});
}

TEST_CASE("what a reload of rtsp takes over") {
    const Rtsp before = right("rtsp: { listen: [\":554\"] }\n").rtsp;
    const Rtsp next = right(
                          "rtsp: { listen: [\":8554\"], late_join: off, session_timeout: 9s, publish: {}, realm: x, "
                          "per_address: { failures: 3 }, users: [{ name: a, password: b }] }\n")
                          .rtsp;
    const Rtsp now = taken_over(before, next);
    CHECK(now.listen == before.listen);
    CHECK(now.late_join == before.late_join);
    CHECK(now.access == next.access);
    CHECK(now.session_timeout == next.session_timeout);
    CHECK(now.failures_per_address == 3);
    CHECK(now.publish);
    CHECK(now != next);
    CHECK(taken_over(now, right("rtsp: { listen: [\":554\"] }\n").rtsp) == before);
}
