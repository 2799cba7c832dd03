#include "dataplane/flow_rules.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_flow.h>
#include <rte_ip.h>

#include <array>
#include <cstring>

namespace penstock::dataplane {
namespace {

constexpr rte_be16_t kAll16 = 0xffff;

// What a rule matches: destination address and port, and the VLAN. Pointers lead into the object itself.
struct Pattern {
    explicit Pattern(const flow::Key& key) {
        size_t n = 0;
        const auto item = [&](rte_flow_item_type type, const void* spec = nullptr, const void* mask = nullptr) {
            items[n++] = {type, spec, nullptr, mask};
        };
        item(RTE_FLOW_ITEM_TYPE_ETH);
        if (key.vlan != 0) {
            vlan.tci = rte_cpu_to_be_16(key.vlan);
            vlan_mask.tci = rte_cpu_to_be_16(0x0fff);
            item(RTE_FLOW_ITEM_TYPE_VLAN, &vlan, &vlan_mask);
        }
        const auto address = key.destination.wire();
        if (key.destination.is_v4()) {
            std::memcpy(&ipv4.hdr.dst_addr, address.data(), address.size());
            ipv4.hdr.next_proto_id = IPPROTO_UDP;  // some drivers want it said twice
            ipv4_mask.hdr.dst_addr = ~rte_be32_t{0};
            ipv4_mask.hdr.next_proto_id = 0xff;
            item(RTE_FLOW_ITEM_TYPE_IPV4, &ipv4, &ipv4_mask);
        } else {
            std::memcpy(ipv6.hdr.dst_addr, address.data(), sizeof ipv6.hdr.dst_addr);
            std::memset(ipv6_mask.hdr.dst_addr, 0xff, sizeof ipv6_mask.hdr.dst_addr);
            item(RTE_FLOW_ITEM_TYPE_IPV6, &ipv6, &ipv6_mask);
        }
        udp.hdr.dst_port = rte_cpu_to_be_16(key.port);
        udp_mask.hdr.dst_port = kAll16;
        item(RTE_FLOW_ITEM_TYPE_UDP, &udp, &udp_mask);
        item(RTE_FLOW_ITEM_TYPE_END);
    }
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;

    rte_flow_item_vlan vlan{}, vlan_mask{};
    rte_flow_item_ipv4 ipv4{}, ipv4_mask{};
    rte_flow_item_ipv6 ipv6{}, ipv6_mask{};
    rte_flow_item_udp udp{}, udp_mask{};
    std::array<rte_flow_item, 5> items{};
};

}  // namespace

Result<void> FlowRules::set(const flow::Key& key, uint16_t queue) {
    if (const auto known = rules_.find(key); known != rules_.end()) {
        if (known->second.queue == queue) return {};
        remove(key);
    }
    const Pattern pattern(key);
    rte_flow_attr attributes{};
    attributes.ingress = 1;
    const rte_flow_action_queue to{queue};
    const std::array<rte_flow_action, 2> actions{
        {{RTE_FLOW_ACTION_TYPE_QUEUE, &to}, {RTE_FLOW_ACTION_TYPE_END, nullptr}}};
    rte_flow_error error{};
    rte_flow* rule = rte_flow_create(ethdev_, &attributes, pattern.items.data(), actions.data(), &error);
    if (rule == nullptr) return fail(error.message != nullptr ? error.message : rte_strerror(rte_errno));
    rules_.emplace(key, Rule{rule, queue});
    return {};
}

void FlowRules::remove(const flow::Key& key) {
    const auto known = rules_.find(key);
    if (known == rules_.end()) return;
    rte_flow_error error{};
    rte_flow_destroy(ethdev_, known->second.flow, &error);
    rules_.erase(known);
}

}  // namespace penstock::dataplane
