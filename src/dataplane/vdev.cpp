#include "dataplane/vdev.hpp"

#include <fmt/format.h>

namespace penstock::dataplane {

std::vector<Vdev> vdevs_of(const PortPlan& plan, uint16_t index) {
    const auto one = [&](std::string_view driver, std::string arguments) {
        return std::vector<Vdev>{{fmt::format("{}{}", driver, index), std::move(arguments), plan.queues}};
    };
    switch (plan.driver) {
        case Driver::pci: return {};
        case Driver::af_xdp: {
            std::vector<Vdev> all;
            for (unsigned q = 0; q < plan.queues; q++) {
                // busy_budget=0: the sender's side runs the receive NAPI; otherwise each empty poll is a system call.
                all.push_back({fmt::format("net_af_xdp{}_{}", index, q),
                               fmt::format("iface={},start_queue={},queue_count=1,busy_budget=0{}", plan.interface, q,
                                           plan.zero_copy == ZeroCopy::off ? ",force_copy=1" : ""),
                               1});
            }
            return all;
        }
        case Driver::af_packet:
            return one("net_af_packet", fmt::format("iface={},qpairs={},blocksz=65536,framesz=2048,framecnt=4096",
                                                    plan.interface, plan.queues));
        case Driver::vhost: return one("net_vhost", fmt::format("iface={},queues={}", plan.socket, plan.queues));
        case Driver::tap: return one("net_tap", fmt::format("iface={}", plan.interface));
        case Driver::pcap: {
            std::string arguments;
            if (!plan.read.empty()) arguments += fmt::format("rx_pcap={}", plan.read);
            if (!plan.write.empty()) arguments += fmt::format("{}tx_pcap={}", arguments.empty() ? "" : ",", plan.write);
            return one("net_pcap", std::move(arguments));
        }
        case Driver::ring: return one("net_ring", "");
        case Driver::null: return one("net_null", "no-rx=1");  // a sink: without it the driver makes packets up
    }
    return {};
}

}  // namespace penstock::dataplane
