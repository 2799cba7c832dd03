#include "control/rtsp/digest.hpp"

#include <catch2/catch.hpp>

using namespace penstock::rtsp;

TEST_CASE("RFC 7616 section 3.9.1 and RFC 2069", "[digest]") {
    Credentials c{.username = "Mufasa",
                  .realm = "http-auth@example.org",
                  .nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                  .uri = "/dir/index.html",
                  .response = {},
                  .opaque = {},
                  .algorithm = Algorithm::sha256,
                  .qop_auth = true,
                  .cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                  .nonce_count = "00000001"};
    const auto response = [&](Algorithm algorithm) {
        c.algorithm = algorithm;
        return response_to(c, "GET", secret_of(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life"));
    };
    CHECK(response(Algorithm::sha256) == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    CHECK(response(Algorithm::md5) == "8ca523f5e9506fed4657c9700eebdbec");
    // RFC 2069's form: MD5(MD5("u:r:p"):n:MD5("DESCRIBE:rtsp://h/x")), as live555 and FFmpeg answer.
    const Credentials old{.username = "u",
                          .realm = "r",
                          .nonce = "n",
                          .uri = "rtsp://h/x",
                          .response = {},
                          .opaque = {},
                          .algorithm = Algorithm::md5,
                          .qop_auth = false,
                          .cnonce = {},
                          .nonce_count = {}};
    const auto md5 = [](const std::string& text) { return hex_digest(Algorithm::md5, text); };
    CHECK(response_to(old, "DESCRIBE", md5("u:r:p")) == md5(md5("u:r:p") + ":n:" + md5("DESCRIBE:rtsp://h/x")));
}

TEST_CASE("challenges and credentials, both directions", "[digest]") {
    const Challenge challenge{"a \"quoted\" realm\\", "abc", "op", Algorithm::sha256, true, true};
    CHECK(parse_challenge(write(challenge)) == challenge);
    Credentials c{.username = "eve",
                  .realm = "r",
                  .nonce = "n",
                  .uri = "rtsp://h/x",
                  .response = "00",
                  .opaque = "o",
                  .algorithm = Algorithm::sha256,
                  .qop_auth = true,
                  .cnonce = "c",
                  .nonce_count = "00000001"};
    CHECK(parse_credentials(write(c)) == c);
    c.response = response_to(c, "PLAY", "secret");
    CHECK(proves(c, "PLAY", "secret"));
    CHECK_FALSE(proves(c, "PAUSE", "secret"));
    CHECK_FALSE(proves(c, "PLAY", "other"));

    CHECK(parse_challenge("Digest realm=\"x\", nonce=\"y\", qop=\"auth-int, auth\"")->qop_auth);
    CHECK(parse_challenge("digest nonce=y")->nonce == "y");
    for (const char* wrong : {"", "Basic realm=\"x\"", "Digest", "Digest realm=\"x\"", "Digest nonce=\"x",
                              "Digest nonce", "Digest nonce=x, algorithm=SHA-512", "Digest nonce=x, qop=\"auth-int\""})
        CHECK_FALSE(parse_challenge(wrong));
    for (const char* wrong : {"Digest username=\"u\", nonce=\"n\"", "Digest username=\"u\", response=\"r\"",
                              "Digest username=\"u\", nonce=\"n\", response=\"r\", qop=auth-int"})
        CHECK_FALSE(parse_credentials(wrong));
}

TEST_CASE("comparing in constant time", "[digest]") {
    CHECK(equal_in_constant_time("abc", "abc"));
    CHECK(equal_in_constant_time("", ""));
    CHECK_FALSE(equal_in_constant_time("abc", "abd"));
    CHECK_FALSE(equal_in_constant_time("ab", "abab"));
    CHECK_FALSE(equal_in_constant_time("", "a"));
    CHECK_FALSE(equal_in_constant_time("a", ""));
}
