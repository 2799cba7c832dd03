#pragma once
// What `port:` of a source, an output or RTSP's groups may name.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/config.hpp"
#include "control/config/value.hpp"
#include "control/config/words.hpp"

namespace penstock::config {

class PortNames {
public:
    explicit PortNames(const std::vector<Port>& ports) {
        for (const Port& port : ports)
            if (!port.name.empty()) names_.push_back(port.name);
        allowed_ = names_.empty() ? "there are no ports" : "one of the ports " + joined(names_);
    }
    // The name of an existing port.
    std::optional<std::string> read(const Value& value) const {
        return value.parsed(allowed_, [&](std::string_view text) {
            const bool exists = std::ranges::find(names_, text) != names_.end();
            return exists ? std::optional{std::string{text}} : std::nullopt;
        });
    }
    // Routes say by which port a unicast copy leaves; for a group nothing does, once there is a choice.
    void want_for_group(const Ip& to, const Value& value, const Map& map) const {
        if (names_.size() > 1 && to.is_multicast() && !map["port"])
            value.problem("a multicast group needs `port`: " + allowed_);
    }

private:
    std::vector<std::string_view> names_;
    std::string allowed_;
};

}  // namespace penstock::config
