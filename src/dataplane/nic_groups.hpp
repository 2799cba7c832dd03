#pragma once
// Which multicast a NIC of our own lets in: what its kernel twin listens to, whoever joined it. By name, because an
// untrusted virtual function may not ask for all; all of it where the driver has no list, or not so long a one.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/log.hpp"

namespace penstock::dataplane {

class NicGroups {
public:
    explicit NicGroups(uint16_t ethdev) : ethdev_(ethdev) {}

    // Lets these in and, as far as the NIC can tell, no others. What was refused is asked for again by the next call:
    // the virtual function may be trusted by then. Says once what came of it.
    void follow(std::vector<Mac> groups, std::string_view port, Log& log);
    // "3 by name", "all: 41 are wanted, 30 can be named", "30 of 41: ..."
    const std::string& how() const noexcept { return how_; }

private:
    const uint16_t ethdev_;
    std::vector<Mac> groups_;
    bool by_name_ = true, refused_ = false;
    std::string how_ = "0 by name";
};

}  // namespace penstock::dataplane
