#pragma once
// Tells the NIC to which rx queue the packets of a flow go, where its driver can (rte_flow): so they arrive at the
// worker that owns the track and need not be handed over. Packets without a rule go where RSS puts them.
#include <cstdint>
#include <unordered_map>

#include "base/result.hpp"
#include "flow/key.hpp"

struct rte_flow;

namespace penstock::dataplane {

class FlowRules {
public:
    explicit FlowRules(uint16_t ethdev) : ethdev_(ethdev) {}

    // Replaces the rule that there may be. The error is the driver's reason: there is no rule then.
    Result<void> set(const flow::Key& key, uint16_t queue);
    void remove(const flow::Key& key);
    size_t size() const noexcept { return rules_.size(); }

private:
    struct HashKey {
        size_t operator()(const flow::Key& key) const noexcept { return flow::hash(key); }
    };
    struct Rule {
        rte_flow* flow;
        uint16_t queue;
    };

    uint16_t ethdev_;
    std::unordered_map<flow::Key, Rule, HashKey> rules_;  // which the driver frees when the device is closed
};

}  // namespace penstock::dataplane
