#pragma once
// Addresses of a name, found by a thread of its own: a name server that does not answer holds up nobody.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "control/io/event_loop.hpp"

namespace penstock::io {

class Lookup {
public:
    using Done = std::function<void(Result<std::vector<Endpoint>>)>;
    // `done` is called once, from the loop, unless this is destroyed before; the thread then ends for nobody.
    Lookup(EventLoop& loop, const std::string& host, uint16_t port, Done done);

private:
    struct Shared;
    std::shared_ptr<Shared> shared_;  // with the thread
    EventLoop::Watch watch_;          // goes before the descriptor
};

}  // namespace penstock::io
