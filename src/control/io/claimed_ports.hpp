#pragma once
// UDP ports that are ours although no socket reads them. On af_packet ports the kernel sees the media too; without a
// socket it would tell each sender "port unreachable" (ICMP), and another program could take the port.
#include <map>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/io/fd.hpp"

namespace penstock::io {

class ClaimedPorts {
public:
    // Counted: each claim() that succeeded wants its release(). `netdev`: where an IPv6 link-local address is meant.
    Result<void> claim(const Endpoint& endpoint, const std::string& netdev = "");
    void release(const Endpoint& endpoint);

private:
    struct Claimed {
        Fd socket;
        unsigned references = 1;
    };
    std::map<Endpoint, Claimed> claimed_;
};

}  // namespace penstock::io
