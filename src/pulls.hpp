#pragma once
// All streams that are fetched from cameras, as the model has them by now.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pulled.hpp"

namespace penstock {

class Pulls {
public:
    explicit Pulls(Pulled::Surroundings around);

    void follow_model();  // after streams changed
    // A viewer asks for a stream that has no tracks yet. False: no camera is to bring them.
    bool wake(const std::string& stream, Pulled::Told told);
    void stop();  // says goodbye to all
    // RTCP for the camera whose own goes to this address of ours, by TCP; false: there is none.
    bool tell(const Endpoint& at, std::span<const std::byte> rtcp);
    bool any() const noexcept { return !pulled_.empty(); }
    cli::Report sources() const;
    std::string metrics() const;

private:
    void tick();

    Pulled::Surroundings around_;
    std::map<std::string, std::unique_ptr<Pulled>> pulled_;
    std::vector<std::unique_ptr<Pulled>> leaving_;  // until they are gone
    io::EventLoop::Timer tick_;
};

}  // namespace penstock
