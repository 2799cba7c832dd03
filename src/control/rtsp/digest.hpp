#pragma once
// Digest access authentication (RFC 7616, with RFC 2069's form without qop, which most RTSP clients speak) and Basic
// (RFC 7617), both ends.
// Nonces are the caller's: they are random.
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace penstock::rtsp {

enum class Algorithm : uint8_t { md5, sha256 };

// WWW-Authenticate.
struct Challenge {
    std::string realm;
    std::string nonce;
    std::string opaque;
    Algorithm algorithm = Algorithm::md5;
    bool qop_auth = false;
    bool stale = false;
    bool operator==(const Challenge&) const = default;
};

// Authorization.
struct Credentials {
    std::string username, realm, nonce, uri, response, opaque;
    Algorithm algorithm = Algorithm::md5;
    bool qop_auth = false;
    std::string cnonce;
    std::string nonce_count;  // "00000001"

    uint32_t count() const noexcept;  // the same as a number; 0: it is none
    bool operator==(const Credentials&) const = default;
};

inline constexpr size_t kMostParameters = 32;  // of one header

Result<Challenge> parse_challenge(std::string_view header);
std::string write(const Challenge& challenge);
Result<Credentials> parse_credentials(std::string_view header);
std::string write(const Credentials& credentials);

// "Basic", and base64 of user:password (RFC 7617).
struct Basic {
    std::string user, password;
};
std::optional<Basic> parse_basic(std::string_view header);
std::string write(const Basic& basic);

std::string quoted(std::string_view text);  // as a quoted-string (RFC 7230 section 3.2.6)
std::string hex_digest(Algorithm algorithm, std::string_view text);
// H(user:realm:password), which is what a server needs to keep.
std::string secret_of(Algorithm algorithm, std::string_view user, std::string_view realm, std::string_view password);
// What `response` must be.
std::string response_to(const Credentials& credentials, std::string_view method, std::string_view secret);
// What nobody can guess, of 64 bits a call.
std::string secret_word(const std::function<uint64_t()>& bits);
// In a time that does not tell where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;
bool proves(const Credentials& credentials, std::string_view method, std::string_view secret);

}  // namespace penstock::rtsp
