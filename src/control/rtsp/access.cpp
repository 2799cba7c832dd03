#include "control/rtsp/access.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "control/rtsp/limits.hpp"
#include "control/rtsp/url.hpp"

namespace penstock::rtsp {
namespace {

// The last one is what FFmpeg and live555 take, who know MD5 only; curl takes the first.
constexpr Algorithm kAlgorithms[] = {Algorithm::sha256, Algorithm::md5};

using config::Rule;

bool concerns(const Rule& rule, Action action, std::string_view stream, const Ip& from) {
    if (!(action == Action::play ? rule.play : rule.publish)) return false;
    if (!rule.streams.empty() &&
        std::ranges::none_of(rule.streams, [&](const std::string& pattern) { return fits(pattern, stream); }))
        return false;
    return rule.from.empty() ||
           std::ranges::any_of(rule.from, [&](const Prefix& network) { return network.contains(from); });
}

bool is_used_up(const Nonce& nonce, Instant now) { return nonce.word.empty() || now - nonce.made >= kNonceTime; }

}  // namespace

bool fits(std::string_view pattern, std::string_view name) noexcept {
    size_t p = 0, n = 0, star = std::string_view::npos, tried = 0;
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            tried = n;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
            p++;
            n++;
        } else if (star != std::string_view::npos) {  // the last * takes one more
            p = star + 1;
            n = ++tried;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Ip counted_as(const Ip& address) noexcept {
    if (address.is_v4()) return address;
    std::array<std::byte, 16> network{};
    std::copy_n(address.bytes().begin(), 8, network.begin());
    return Ip::v6(network);
}

Access::Access(const config::Access& settings)
    : realm_(settings.realm), digest_(settings.digest), basic_(settings.basic) {
    for (const config::User& user : settings.users) {
        Secrets& s = users_[user.name];
        const bool plain = !user.password.empty();
        s.md5 = plain ? secret_of(Algorithm::md5, user.name, realm_, user.password) : user.md5;
        s.sha_256 = plain ? secret_of(Algorithm::sha256, user.name, realm_, user.password) : user.sha_256;
    }
    Rule all;
    all.play = all.publish = true;
    all.who = users_.empty() ? Rule::Who::anyone : Rule::Who::known;
    rules_ = settings.rules.value_or(std::vector{all});
}

const Access::Secrets& Access::secrets_of(const std::string& user) const {
    const auto found = users_.find(user);
    return found == users_.end() ? nobody_ : found->second;
}

// What all users can do, or else what any can: a client chooses before it says who it is.
bool Access::offered(Algorithm algorithm) const {
    const auto has = [](Algorithm a) { return [a](const auto& user) { return !user.second.of(a).empty(); }; };
    if (std::ranges::all_of(users_, has(algorithm))) return true;
    const Algorithm other = algorithm == Algorithm::md5 ? Algorithm::sha256 : Algorithm::md5;
    return !std::ranges::all_of(users_, has(other)) && std::ranges::any_of(users_, has(algorithm));
}

Asker Access::asker(const Request& request, Nonce& nonce, Instant now) const {
    const auto header = request.headers.get("Authorization");
    if (!header || users_.empty()) return {};
    if (same_name(header->substr(0, header->find(' ')), "Basic")) return by_basic(*header);
    return by_digest(request, *header, nonce, now);
}

std::string Access::named_by(const Request& request) {
    const auto header = request.headers.get("Authorization");
    if (!header) return {};
    if (const auto basic = parse_basic(*header)) return basic->user;
    const auto digest = parse_credentials(*header);
    return digest ? digest->username : std::string();
}

Asker Access::by_basic(std::string_view header) const {
    const auto given = basic_ ? parse_basic(header) : std::nullopt;
    if (!given) return {Proof::wrong, {}};
    const Secrets& secrets = secrets_of(given->user);
    bool right = false;
    for (const Algorithm algorithm : kAlgorithms) {
        const bool same =
            equal_in_constant_time(secret_of(algorithm, given->user, realm_, given->password), secrets.of(algorithm));
        right |= same && !secrets.of(algorithm).empty();
    }
    return {right ? Proof::right : Proof::wrong, given->user};
}

Asker Access::by_digest(const Request& request, std::string_view header, Nonce& nonce, Instant now) const {
    const auto given = digest_ ? parse_credentials(header) : Result<Credentials>(fail("off"));
    if (!given) return {Proof::wrong, {}};
    if (!given->realm.empty() && given->realm != realm_) return {Proof::stale, given->username};
    const std::string& secret = secrets_of(given->username).of(given->algorithm);
    const bool proven = proves(*given, request.method, secret);
    // The URL is the client's own for the whole or the part (live555: always that of the whole), so its stream counts.
    if (!proven || secret.empty() || stream_of(given->uri) != stream_of(request.url))
        return {Proof::wrong, given->username};
    // FFmpeg does not look at the answer to TEARDOWN, and would leave its session behind.
    const bool fresh = !is_used_up(nonce, now) || request.method == "TEARDOWN";
    if (!fresh || !equal_in_constant_time(given->nonce, nonce.word)) return {Proof::stale, given->username};
    // Without qop there is no count; then the nonce is all that keeps an old answer from being given again.
    if (given->qop_auth) {
        if (given->count() <= nonce.count) {
            nonce.word.clear();
            return {Proof::stale, given->username};
        }
        nonce.count = given->count();
    }
    return {Proof::right, given->username};
}

const Rule* Access::first(Action action, std::string_view stream, const Ip& from,
                          const std::function<bool(const Rule&)>& who) const {
    const auto rule =
        std::ranges::find_if(rules_, [&](const Rule& r) { return who(r) && concerns(r, action, stream, from); });
    return rule == rules_.end() ? nullptr : &*rule;
}

bool Access::allows(std::string_view user, Action action, std::string_view stream, const Ip& from) const {
    const Rule* rule = first(action, stream, from, [&](const Rule& r) {
        if (r.who == Rule::Who::anyone) return true;
        if (user.empty()) return false;
        return r.who == Rule::Who::known || std::ranges::find(r.users, user) != r.users.end();
    });
    return rule != nullptr && rule->allow;
}

bool Access::password_may_help(Action action, std::string_view stream, const Ip& from) const {
    if (users_.empty()) return false;
    // Whom a rule with names refuses leaves the others.
    const Rule* rule = first(action, stream, from, [](const Rule& r) { return r.allow || r.who != Rule::Who::named; });
    return rule != nullptr && rule->allow;
}

void Access::challenge(Response& response, Nonce& nonce, bool stale, Instant now,
                       const std::function<uint64_t()>& random) const {
    if (is_used_up(nonce, now)) nonce = {.word = secret_word(random), .made = now, .count = 0};
    response.status = 401;
    for (const Algorithm algorithm : kAlgorithms)
        if (digest_ && offered(algorithm))
            // FFmpeg, GStreamer, live555 and cameras speak MD5 in the form of RFC 2069, without qop.
            response.headers.add("WWW-Authenticate", write(Challenge{.realm = realm_,
                                                                     .nonce = nonce.word,
                                                                     .opaque = {},
                                                                     .algorithm = algorithm,
                                                                     .qop_auth = algorithm == Algorithm::sha256,
                                                                     .stale = stale}));
    if (basic_) response.headers.add("WWW-Authenticate", fmt::format("Basic realm={}", quoted(realm_)));
}

}  // namespace penstock::rtsp
