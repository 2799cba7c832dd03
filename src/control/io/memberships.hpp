#pragma once
// Multicast groups that the kernel has joined for us on a kernel twin, so that it speaks IGMPv3 and MLDv2 (RFC 3376,
// RFC 3810). The packets themselves go to the workers; these sockets receive nothing.
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/io/fd.hpp"

namespace penstock::io {

class Memberships {
public:
    // Counted: each join() that succeeded wants its leave(). With `source` this sender only (SSM, RFC 4607).
    Result<void> join(const Ip& group, const std::optional<Ip>& source, const std::string& netdev);
    void leave(const Ip& group, const std::optional<Ip>& source, const std::string& netdev);
    // Joins anew what was joined on `netdev` if that is another interface of the same name by now; does nothing
    // otherwise. After an error the memberships are still wanted: call it again when the interface has changed.
    Result<void> rejoin(const std::string& netdev);

private:
    using Key = std::tuple<std::string, Ip, std::optional<Ip>>;  // netdev, group, source
    struct Joined {
        Fd socket;
        unsigned index = 0;  // of the interface, when it was joined
        unsigned references = 1;
    };
    static Result<Joined> joined(const Key& key);

    std::map<Key, Joined> memberships_;
};

}  // namespace penstock::io
