#pragma once
// `penstock cli`: the operator's end of the control socket. One command, or a prompt in the manner of testpmd with
// history and completion (DPDK's line editor); what can be completed, the running forwarder says.
#include <string>

#include "base/result.hpp"

namespace penstock::cli {

struct Client {
    std::string socket;
    bool json = false;
    std::string words;  // empty: a prompt or, when stdin is no terminal, a command a line
};

// Whether every command was done; an error when the forwarder cannot be reached.
Result<bool> run_client(const Client& client);

}  // namespace penstock::cli
