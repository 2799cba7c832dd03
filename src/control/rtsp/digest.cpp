#include "control/rtsp/digest.hpp"

#include <fmt/format.h>
#include <nettle/base64.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>

#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "control/rtsp/message.hpp"

namespace penstock::rtsp {
namespace {

constexpr std::string_view kScheme = "Digest";

using Parameters = std::vector<std::pair<std::string_view, std::string>>;

// NAME=VALUE or NAME="VALUE", with commas between; a backslash in quotes makes the next character a plain one.
Result<Parameters> parameters(std::string_view text) {
    text = trimmed(text);
    const size_t scheme = text.find(' ');
    if (scheme == std::string_view::npos || !same_name(text.substr(0, scheme), kScheme)) return fail("it is no Digest");
    text.remove_prefix(scheme);
    Parameters all;
    for (;;) {
        while (!text.empty() && (text.front() == ',' || text.front() == ' ' || text.front() == '\t'))
            text.remove_prefix(1);
        if (text.empty()) return all;
        if (all.size() == kMostParameters) return fail("too many parameters");
        const size_t equals = text.find('=');
        if (equals == std::string_view::npos) return fail("a parameter without a value");
        const std::string_view name = trimmed(text.substr(0, equals));
        text = trimmed(text.substr(equals + 1));
        std::string value;
        if (text.starts_with('"')) {
            size_t i = 1;
            for (; i < text.size() && text[i] != '"'; i++) {
                if (text[i] == '\\' && i + 1 < text.size()) i++;
                value += text[i];
            }
            if (i >= text.size()) return fail("a quote that does not end");
            text.remove_prefix(i + 1);
        } else {
            const size_t end = text.find(',');
            value = trimmed(text.substr(0, end));
            text.remove_prefix(end == std::string_view::npos ? text.size() : end);
        }
        all.emplace_back(name, std::move(value));
    }
}

std::string get(const Parameters& all, std::string_view name) {
    for (const auto& [known, value] : all)
        if (same_name(known, name)) return value;
    return {};
}

Result<Algorithm> algorithm_of(const Parameters& all) {
    const std::string name = get(all, "algorithm");
    if (name.empty() || same_name(name, "MD5")) return Algorithm::md5;
    if (same_name(name, "SHA-256")) return Algorithm::sha256;
    return fail(fmt::format("an algorithm that is neither MD5 nor SHA-256"));
}

std::string_view name_of(Algorithm algorithm) { return algorithm == Algorithm::md5 ? "MD5" : "SHA-256"; }

// "auth" or "auth,auth-int": the second one protects bodies, which no RTSP client does.
bool offers_auth(std::string_view qop) {
    while (!qop.empty()) {
        const size_t comma = qop.find(',');
        if (same_name(trimmed(qop.substr(0, comma)), "auth")) return true;
        qop.remove_prefix(comma == std::string_view::npos ? qop.size() : comma + 1);
    }
    return false;
}

}  // namespace

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

uint32_t Credentials::count() const noexcept { return number<uint32_t>(nonce_count, 16).value_or(0); }

Result<Challenge> parse_challenge(std::string_view header) {
    const auto all = parameters(header);
    if (!all) return fail(all.error().text);
    const auto algorithm = algorithm_of(*all);
    if (!algorithm) return fail(algorithm.error().text);
    const std::string qop = get(*all, "qop");
    if (!qop.empty() && !offers_auth(qop)) return fail("a qop without auth");
    Challenge c{get(*all, "realm"), get(*all, "nonce"), get(*all, "opaque"),
                *algorithm,         !qop.empty(),       same_name(get(*all, "stale"), "true")};
    if (c.nonce.empty()) return fail("no nonce");
    return c;
}

std::string write(const Challenge& c) {
    std::string out = fmt::format("Digest realm={}, nonce={}", quoted(c.realm), quoted(c.nonce));
    if (!c.opaque.empty()) out += ", opaque=" + quoted(c.opaque);
    out += fmt::format(", algorithm={}", name_of(c.algorithm));
    if (c.qop_auth) out += ", qop=\"auth\"";
    if (c.stale) out += ", stale=true";
    return out;
}

Result<Credentials> parse_credentials(std::string_view header) {
    const auto all = parameters(header);
    if (!all) return fail(all.error().text);
    const auto algorithm = algorithm_of(*all);
    if (!algorithm) return fail(algorithm.error().text);
    Credentials c;
    for (const auto& [name, into] : {std::pair{"username", &c.username},
                                     {"realm", &c.realm},
                                     {"nonce", &c.nonce},
                                     {"uri", &c.uri},
                                     {"response", &c.response},
                                     {"opaque", &c.opaque},
                                     {"cnonce", &c.cnonce},
                                     {"nc", &c.nonce_count}})
        *into = get(*all, name);
    c.algorithm = *algorithm;
    const std::string qop = get(*all, "qop");
    c.qop_auth = same_name(qop, "auth");
    if (!qop.empty() && !c.qop_auth) return fail("a qop that is not auth");
    if (c.username.empty() || c.nonce.empty() || c.response.empty()) return fail("no username, nonce or response");
    return c;
}

std::string write(const Credentials& c) {
    std::string out = fmt::format("Digest username={}, realm={}, nonce={}, uri={}, response={}", quoted(c.username),
                                  quoted(c.realm), quoted(c.nonce), quoted(c.uri), quoted(c.response));
    if (!c.opaque.empty()) out += ", opaque=" + quoted(c.opaque);
    out += fmt::format(", algorithm={}", name_of(c.algorithm));
    if (c.qop_auth) out += fmt::format(", qop=auth, nc={}, cnonce={}", c.nonce_count, quoted(c.cnonce));
    return out;
}

std::optional<Basic> parse_basic(std::string_view header) {
    const size_t scheme = std::min(header.find(' '), header.size());
    if (!same_name(header.substr(0, scheme), "Basic")) return std::nullopt;
    const std::string_view encoded = trimmed(header.substr(scheme));
    std::string text(BASE64_DECODE_LENGTH(encoded.size()), '\0');
    size_t size = text.size();
    base64_decode_ctx context;
    base64_decode_init(&context);
    if (base64_decode_update(&context, &size, reinterpret_cast<uint8_t*>(text.data()), encoded.size(),
                             encoded.data()) == 0 ||
        base64_decode_final(&context) == 0)
        return std::nullopt;
    text.resize(size);
    const size_t colon = text.find(':');
    if (colon == std::string::npos) return std::nullopt;
    return Basic{text.substr(0, colon), text.substr(colon + 1)};
}

std::string write(const Basic& basic) {
    const std::string text = fmt::format("{}:{}", basic.user, basic.password);
    std::string encoded(BASE64_ENCODE_RAW_LENGTH(text.size()), '\0');
    base64_encode_raw(encoded.data(), text.size(), reinterpret_cast<const uint8_t*>(text.data()));
    return "Basic " + encoded;
}

std::string hex_digest(Algorithm algorithm, std::string_view text) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    std::array<uint8_t, SHA256_DIGEST_SIZE> digest{};
    size_t size = 0;
    if (algorithm == Algorithm::md5) {
        md5_ctx context;
        md5_init(&context);
        md5_update(&context, text.size(), bytes);
        md5_digest(&context, size = MD5_DIGEST_SIZE, digest.data());
    } else {
        sha256_ctx context;
        sha256_init(&context);
        sha256_update(&context, text.size(), bytes);
        sha256_digest(&context, size = SHA256_DIGEST_SIZE, digest.data());
    }
    std::string hex;
    for (size_t i = 0; i < size; i++) hex += fmt::format("{:02x}", digest[i]);
    return hex;
}

std::string secret_of(Algorithm algorithm, std::string_view user, std::string_view realm, std::string_view password) {
    return hex_digest(algorithm, fmt::format("{}:{}:{}", user, realm, password));
}

std::string response_to(const Credentials& c, std::string_view method, std::string_view secret) {
    const std::string request = hex_digest(c.algorithm, fmt::format("{}:{}", method, c.uri));
    if (!c.qop_auth) return hex_digest(c.algorithm, fmt::format("{}:{}:{}", secret, c.nonce, request));
    return hex_digest(c.algorithm,
                      fmt::format("{}:{}:{}:{}:auth:{}", secret, c.nonce, c.nonce_count, c.cnonce, request));
}

std::string secret_word(const std::function<uint64_t()>& bits) {
    const uint64_t first = bits(), second = bits();
    return fmt::format("{:016x}{:016x}", first, second);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
    unsigned differ = a.size() != b.size();
    for (size_t i = 0; i < b.size(); i++)
        differ |= static_cast<unsigned char>(a.empty() ? 0 : a[i % a.size()]) ^ static_cast<unsigned char>(b[i]);
    return differ == 0;
}

bool proves(const Credentials& credentials, std::string_view method, std::string_view secret) {
    return equal_in_constant_time(credentials.response, response_to(credentials, method, secret));
}

}  // namespace penstock::rtsp
