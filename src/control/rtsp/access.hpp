#pragma once
// Who asks, and what they may do: passwords by Digest and Basic, and the rules of rtsp.rules. Pure: nonces are a
// connection's, random bits and time are arguments.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/time.hpp"
#include "control/config/config.hpp"
#include "control/rtsp/digest.hpp"
#include "control/rtsp/message.hpp"

namespace penstock::rtsp {

enum class Action : uint8_t { play, publish };

// What a connection is challenged with. It is good for that connection alone, for kNonceTime.
struct Nonce {
    std::string word;
    Instant made{};
    uint32_t count = 0;  // the highest nc that came with it (RFC 7616 section 3.4)
};

// stale: the password is right and the nonce is not, or the realm is another one: the client is to begin anew, without
// asking its user.
enum class Proof : uint8_t { none, wrong, stale, right };
struct Asker {
    Proof proof = Proof::none;
    std::string user;  // as given; empty without one
};

class Access {
public:
    explicit Access(const config::Access& settings);

    // Whose request it is. Without users nobody is asked, and whatever a client says of itself means nothing.
    Asker asker(const Request& request, Nonce& nonce, Instant now) const;
    // Whom it names, proven or not.
    static std::string named_by(const Request& request);
    // `user` is empty for one who proved nothing.
    bool allows(std::string_view user, Action action, std::string_view stream, const Ip& from) const;
    // Whether there may be a user to whom it is allowed.
    bool password_may_help(Action action, std::string_view stream, const Ip& from) const;
    // Adds WWW-Authenticate, with a new nonce where the old one is used up.
    void challenge(Response& response, Nonce& nonce, bool stale, Instant now,
                   const std::function<uint64_t()>& random) const;

private:
    struct Secrets {
        std::string md5, sha_256;  // empty: it cannot be proven by that
        const std::string& of(Algorithm algorithm) const { return algorithm == Algorithm::md5 ? md5 : sha_256; }
    };
    const config::Rule* first(Action action, std::string_view stream, const Ip& from,
                              const std::function<bool(const config::Rule&)>& who) const;
    const Secrets& secrets_of(const std::string& user) const;
    bool offered(Algorithm algorithm) const;
    Asker by_digest(const Request& request, std::string_view header, Nonce& nonce, Instant now) const;
    Asker by_basic(std::string_view header) const;

    std::string realm_;
    bool digest_, basic_;
    std::map<std::string, Secrets> users_;
    Secrets nobody_;  // whoever is not known costs the same work
    std::vector<config::Rule> rules_;
};

// "cam-*", "gate?": * stands for any characters, ? for one.
bool fits(std::string_view pattern, std::string_view name) noexcept;

// Whose allowance an address uses: an IPv6 host has a whole /64 to choose addresses from.
Ip counted_as(const Ip& address) noexcept;

}  // namespace penstock::rtsp
