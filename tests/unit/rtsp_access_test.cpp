// Who may do what, as tables: rules, passwords, nonces.
#include "control/rtsp/access.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "control/rtsp/limits.hpp"

using namespace penstock;
using namespace penstock::rtsp;
using namespace std::chrono_literals;
using config::Rule;
using Who = Rule::Who;

namespace {

Ip ip(std::string_view text) { return *Ip::parse(text); }
config::User plain(std::string name, std::string password) { return {std::move(name), std::move(password), {}, {}}; }

// A client that answers challenges, and the connection that it has.
struct Asking {
    Access access;
    Nonce nonce{};
    Instant now{};
    uint64_t random = 0;

    std::vector<std::string> challenges(bool stale = false) {
        Response response;
        access.challenge(response, nonce, stale, now, [this] { return ++random; });
        std::vector<std::string> all;
        for (const auto& [name, value] : response.headers) all.push_back(value);
        return all;
    }
    Credentials with(std::string user, std::string password, Algorithm algorithm = Algorithm::md5,
                     std::string method = "DESCRIBE", uint32_t count = 0) {
        Credentials c;
        c.username = user;
        c.realm = "penstock";
        c.nonce = nonce.word;
        c.uri = "rtsp://h/cam";
        c.algorithm = algorithm;
        if (count != 0) {
            c.qop_auth = true;
            c.cnonce = "c";
            c.nonce_count = fmt::format("{:08x}", count);
        }
        c.response = response_to(c, method, secret_of(algorithm, user, "penstock", password));
        return c;
    }
    Asker ask(const std::string& authorization, std::string method = "DESCRIBE") {
        Request request;
        request.method = method;
        request.url = "rtsp://h/cam";
        request.headers.add("Authorization", authorization);
        return access.asker(request, nonce, now);
    }
    Proof proof(const Credentials& c, std::string method = "DESCRIBE") { return ask(write(c), method).proof; }
};

Asking two_users(config::Access settings = {}) {
    settings.users = {plain("eve", "secret"), plain("adam", "x")};
    return {Access(settings)};
}

}  // namespace

TEST_CASE("openRTSP: the uri of its proof for SETUP is the Content-Base, not the track", "[access]") {
    Asking asking = two_users();
    asking.challenges();
    Credentials c = asking.with("eve", "secret", Algorithm::md5, "SETUP");
    Request request;
    request.method = "SETUP";
    request.url = "rtsp://h/cam/video";
    for (const auto& [uri, right] :
         {std::pair{"rtsp://h/cam/", true}, {"rtsp://h/cam/video", true}, {"rtsp://h/other/", false}}) {
        c.uri = uri;
        c.response = response_to(c, "SETUP", secret_of(c.algorithm, "eve", "penstock", "secret"));
        request.headers = {};
        request.headers.add("Authorization", write(c));
        CHECK((asking.access.asker(request, asking.nonce, asking.now).proof == Proof::right) == right);
    }
}

TEST_CASE("patterns of names", "[access]") {
    for (const auto& [pattern, name] : {std::pair{"*", ""},
                                        {"*", "cam"},
                                        {"cam", "cam"},
                                        {"cam-*", "cam-"},
                                        {"cam-*", "cam-12"},
                                        {"*-hd", "cam-hd-hd"},
                                        {"c*m*1", "cam-m-1"},
                                        {"ca?", "cam"},
                                        {"**", "x"},
                                        {"?*", "x"}})
        CHECK(fits(pattern, name));
    for (const auto& [pattern, name] : {std::pair{"", "cam"},
                                        {"cam", "cam1"},
                                        {"cam1", "cam"},
                                        {"cam-*", "cam"},
                                        {"*-hd", "cam-sd"},
                                        {"ca?", "ca"},
                                        {"?*", ""},
                                        {"Cam", "cam"},
                                        {"a*b", "ac"}})
        CHECK_FALSE(fits(pattern, name));
    // No pattern takes long.
    CHECK_FALSE(fits("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(64, 'a')));
}

TEST_CASE("IPv6 peers are counted by /64", "[access]") {
    CHECK(counted_as(ip("10.0.0.1")) == ip("10.0.0.1"));
    CHECK(counted_as(ip("2001:db8:1:2:3:4:5:6")) == ip("2001:db8:1:2::"));
    CHECK(counted_as(ip("2001:db8:1:2::1")) == counted_as(ip("2001:db8:1:2:ffff::9")));
    CHECK(counted_as(ip("2001:db8:1:2::1")) != counted_as(ip("2001:db8:1:3::1")));
    CHECK(counted_as(ip("::ffff:10.0.0.1")) == ip("10.0.0.1"));
}

TEST_CASE("rules: the first that fits decides", "[access]") {
    const auto play = Action::play, publish = Action::publish;
    config::Access settings;
    settings.users = {plain("eve", "1"), plain("adam", "2"), plain("encoder", "3")};
    settings.rules = {Rule{false, true, true, Who::anyone, {}, {}, {*Prefix::parse("10.9.0.0/16")}},
                      Rule{false, true, false, Who::named, {"adam"}, {"secret-*"}},
                      Rule{true, true, false, Who::known, {}, {"cam-*", "secret-*"}},
                      Rule{true, false, true, Who::named, {"encoder"}, {"live-?"}, {*Prefix::parse("10.1.0.0/16")}},
                      Rule{true, true, false, Who::anyone, {}, {"public"}}};
    const Access access(settings);
    struct Row {
        const char* user;
        Action action;
        const char* stream;
        const char* from;
        bool allowed, may_help;
    };
    for (const Row& row : {Row{"", play, "cam-1", "10.0.0.1", false, true},
                           {"eve", play, "cam-1", "10.0.0.1", true, true},
                           {"eve", play, "cam-1", "10.9.0.1", false, false},  // not from there
                           {"eve", play, "other", "10.0.0.1", false, false},  // no rule fits
                           {"eve", play, "secret-1", "10.0.0.1", true, true},
                           {"adam", play, "secret-1", "10.0.0.1", false, true},  // it may help others
                           {"adam", play, "cam-1", "10.0.0.1", true, true},
                           {"eve", publish, "cam-1", "10.0.0.1", false, false},
                           {"encoder", publish, "live-1", "10.1.0.1", true, true},
                           {"encoder", publish, "live-10", "10.1.0.1", false, false},
                           {"encoder", publish, "live-1", "10.0.0.1", false, false},
                           {"eve", publish, "live-1", "10.1.0.1", false, true},
                           {"", play, "public", "10.0.0.1", true, true},
                           {"", play, "public", "10.9.0.1", false, false},
                           {"eve", play, "public", "fd00::1", true, true},
                           {"", play, "", "10.0.0.1", false, false}}) {
        INFO(row.user << ' ' << (row.action == play ? "plays " : "publishes ") << row.stream << " from " << row.from);
        CHECK(access.allows(row.user, row.action, row.stream, ip(row.from)) == row.allowed);
        CHECK(access.password_may_help(row.action, row.stream, ip(row.from)) == row.may_help);
    }
}

TEST_CASE("without rules", "[access]") {
    const Access open{config::Access{}}, closed = two_users().access;
    for (const Action action : {Action::play, Action::publish}) {
        CHECK(open.allows("", action, "cam", ip("10.0.0.1")));
        CHECK_FALSE(closed.allows("", action, "cam", ip("10.0.0.1")));
        CHECK(closed.allows("eve", action, "cam", ip("10.0.0.1")));
        CHECK(closed.password_may_help(action, "cam", ip("10.0.0.1")));
    }
    config::Access none;
    none.rules.emplace();
    CHECK_FALSE(Access(none).allows("", Action::play, "cam", ip("10.0.0.1")));
    CHECK_FALSE(Access(none).password_may_help(Action::play, "cam", ip("10.0.0.1")));
}

TEST_CASE("passwords by Digest", "[access]") {
    Asking a = two_users();
    const auto offered = a.challenges();
    REQUIRE(offered.size() == 2);  // FFmpeg and live555 take the last one, and know MD5 without qop
    CHECK(offered[0] ==
          fmt::format("Digest realm=\"penstock\", nonce=\"{}\", algorithm=SHA-256, qop=\"auth\"", a.nonce.word));
    CHECK(offered[1] == fmt::format("Digest realm=\"penstock\", nonce=\"{}\", algorithm=MD5", a.nonce.word));
    for (const Algorithm algorithm : {Algorithm::md5, Algorithm::sha256}) {
        CHECK(a.proof(a.with("eve", "secret", algorithm)) == Proof::right);
        CHECK(a.proof(a.with("adam", "x", algorithm)) == Proof::right);
        CHECK(a.proof(a.with("eve", "x", algorithm)) == Proof::wrong);
        CHECK(a.proof(a.with("nobody", "secret", algorithm)) == Proof::wrong);
        CHECK(a.proof(a.with("nobody", "", algorithm)) == Proof::wrong);
        CHECK(a.proof(a.with("eve", "secret", algorithm), "SETUP") == Proof::wrong);  // it was made for another method
    }
    CHECK(a.ask(write(a.with("eve", "secret"))).user == "eve");
    Credentials c = a.with("eve", "secret");
    c.uri = "rtsp://h/other";
    c.response = response_to(c, "DESCRIBE", secret_of(Algorithm::md5, "eve", "penstock", "secret"));
    CHECK(a.proof(c) == Proof::wrong);   // for another stream
    c.uri = "rtsp://10.0.0.1:554/cam/";  // of live555 and of a path through NAT
    c.response = response_to(c, "DESCRIBE", secret_of(Algorithm::md5, "eve", "penstock", "secret"));
    CHECK(a.proof(c) == Proof::right);
    for (const char* wrong : {"", "Digest", "Digest username=\"eve\"", "Bearer x", "Basic ZXZlOnNlY3JldA=="})
        CHECK(a.ask(wrong).proof == Proof::wrong);
    // The empty secret of who is unknown opens nothing.
    c = a.with("nobody", "x");
    c.response = response_to(c, "DESCRIBE", "");
    CHECK(a.proof(c) == Proof::wrong);
    Request plain_request;
    CHECK(a.access.asker(plain_request, a.nonce, a.now).proof == Proof::none);
    // Nobody is asked where there are no users.
    Asking open{Access(config::Access{})};
    CHECK(open.ask("Digest username=\"eve\"").proof == Proof::none);
}

TEST_CASE("nonces are a connection's, for five minutes", "[access]") {
    Asking a = two_users();
    CHECK(a.proof(a.with("eve", "secret")) == Proof::wrong);  // nobody was challenged: the header lacks a nonce
    a.challenges();
    const Credentials c = a.with("eve", "secret");
    CHECK(a.proof(c) == Proof::right);
    CHECK(a.proof(c) == Proof::right);  // without qop as often as it likes
    a.now += kNonceTime - 1s;
    CHECK(a.proof(c) == Proof::right);
    a.now += 1s;
    CHECK(a.proof(c) == Proof::stale);
    CHECK(a.proof(a.with("eve", "x")) == Proof::wrong);  // an old nonce is no excuse
    Credentials goodbye = a.with("eve", "secret", Algorithm::md5, "TEARDOWN");
    CHECK(a.proof(goodbye, "TEARDOWN") == Proof::right);
    CHECK(a.challenges(true)[1].ends_with("stale=true"));
    CHECK(a.nonce.word != c.nonce);
    CHECK(a.proof(c) == Proof::stale);
    CHECK(a.proof(a.with("eve", "secret")) == Proof::right);
    // One of another connection.
    Asking other = two_users();
    other.random = 77;
    other.challenges();
    CHECK(other.proof(c) == Proof::stale);
    // Another realm: our own of before a reload. Nothing is said of the password.
    for (const char* password : {"secret", "wrong"}) {
        Credentials before = a.with("eve", password);
        before.realm = "before";
        CHECK(a.proof(before) == Proof::stale);
    }
}

TEST_CASE("with qop the count of a nonce grows", "[access]") {
    Asking a = two_users();
    a.challenges();
    const auto count = [&](uint32_t n) { return a.proof(a.with("eve", "secret", Algorithm::sha256, "DESCRIBE", n)); };
    CHECK(count(1) == Proof::right);
    CHECK(count(2) == Proof::right);
    CHECK(count(0x10) == Proof::right);
    CHECK(a.proof(a.with("eve", "wrong", Algorithm::sha256, "DESCRIBE", 0xffffffff)) == Proof::wrong);
    CHECK(count(0x11) == Proof::right);  // what proves nothing uses nothing up
    CHECK(count(0x11) == Proof::stale);  // it was heard before
    // A client that always counts from 1 gets a new nonce each time, and goes on.
    for (int i = 0; i < 3; i++) {
        const std::string before = a.nonce.word;
        a.challenges(true);
        CHECK(a.nonce.word != before);
        CHECK(count(1) == Proof::right);
        CHECK(count(1) == Proof::stale);
    }
    for (const char* odd : {"", "x", "-1", "100000000"}) {
        a.challenges();
        Credentials c = a.with("eve", "secret", Algorithm::sha256, "DESCRIBE", 1);
        c.nonce_count = odd;
        c.response = response_to(c, "DESCRIBE", secret_of(Algorithm::sha256, "eve", "penstock", "secret"));
        CHECK(a.proof(c) == Proof::stale);
    }
}

TEST_CASE("users with hashes, and what is offered for them", "[access]") {
    const std::string md5 = secret_of(Algorithm::md5, "eve", "penstock", "secret");
    const std::string sha = secret_of(Algorithm::sha256, "eve", "penstock", "secret");
    CHECK(md5 == "2f6ade23e3d2f0cfcdd49e1ed8644964");  // printf %s eve:penstock:secret | md5sum
    const auto offered = [](std::vector<config::User> users) {
        config::Access settings;
        settings.users = std::move(users);
        Asking a{Access(settings)};
        std::string all;
        for (const std::string& challenge : a.challenges())
            all += challenge.find("SHA-256") != std::string::npos ? "sha " : "md5 ";
        return all;
    };
    CHECK(offered({{"eve", "", md5, sha}}) == "sha md5 ");
    CHECK(offered({{"eve", "", md5, ""}}) == "md5 ");
    CHECK(offered({{"eve", "", "", sha}}) == "sha ");
    CHECK(offered({{"eve", "", md5, ""}, plain("adam", "x")}) == "md5 ");  // what all can do
    CHECK(offered({{"eve", "", md5, ""}, {"adam", "", "", sha}}) == "sha md5 ");
    config::Access settings;
    settings.basic = true;
    settings.users = {{"eve", "", md5, ""}};
    Asking a{Access(settings)};
    CHECK(a.challenges().back() == "Basic realm=\"penstock\"");
    CHECK(a.proof(a.with("eve", "secret")) == Proof::right);
    CHECK(a.proof(a.with("eve", "x")) == Proof::wrong);
    CHECK(a.proof(a.with("eve", "secret", Algorithm::sha256)) == Proof::wrong);
    CHECK(a.ask(write(Basic{"eve", "secret"})).proof == Proof::right);
    CHECK(a.ask(write(Basic{"eve", "x"})).proof == Proof::wrong);
    CHECK(a.ask(write(Basic{"nobody", ""})).proof == Proof::wrong);
}

TEST_CASE("passwords by Basic", "[access]") {
    config::Access settings;
    settings.digest = false;
    settings.basic = true;
    Asking a = two_users(settings);
    CHECK(a.challenges() == std::vector<std::string>{"Basic realm=\"penstock\""});
    CHECK(write(Basic{"Aladdin", "open sesame"}) == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617 section 2
    CHECK(parse_basic("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ== ")->password == "open sesame");
    CHECK(parse_basic(write(Basic{"a", "b:c"}))->password == "b:c");
    for (const char* wrong :
         {"", "Basic", "Basic QQ", "Basic QWxh", "Basic ****", "Digest QWxhZGRpbjpvcGVuIHNlc2FtZQ=="})
        CHECK_FALSE(parse_basic(wrong));
    CHECK(a.ask(write(Basic{"eve", "secret"})).proof == Proof::right);
    CHECK(a.ask(write(Basic{"eve", "secre"})).proof == Proof::wrong);
    CHECK(a.ask(write(Basic{"", ""})).proof == Proof::wrong);
    a.nonce.word = "n";
    a.nonce.made = a.now;
    CHECK(a.proof(a.with("eve", "secret")) == Proof::wrong);  // Digest is off
}
