// An interface that stays with the kernel: XDP, queues, interrupts, MTU, and whether the node hangs on it.
#include <fmt/format.h>

#include <algorithm>

#include "base/kernel.hpp"
#include "doctor/judge.hpp"

namespace penstock::doctor {
namespace {

// Frames of 2048 bytes, of which the headers of AF_PACKET or 802.1Q and Ethernet take some.
constexpr unsigned kLargestMtu = 1900;
// What a page holds beside XDP's headroom and the kernel's trailer: larger MTUs are refused by most drivers.
constexpr unsigned kLargestXdpMtu = 3498;

class Judge {
public:
    Judge(const config::Port& port, const Interface& interface, Findings& out)
        : port_(port), interface_(interface), out_(out) {}

    void link() {
        if (interface_.up) return met("interface", fmt::format("{}, driver {}, up", port_.interface, kernel_driver()));
        say(Status::degraded, "interface", fmt::format("{} is down", port_.interface),
            "nothing arrives and nothing leaves", fmt::format("ip link set dev {} up", port_.interface));
    }

    void xdp() {
        if (!interface_.xdp_refusal.empty())
            return say(Status::missing, "XDP", interface_.xdp_refusal, "media is steered by an XDP program of ours",
                       fmt::format("ip link set dev {} xdp off, once nobody needs that program", port_.interface));
        mode();
        if (port_.zero_copy == config::ZeroCopy::off || port_.mode == config::XdpMode::generic) return;
        if (interface_.zero_copy == false && port_.zero_copy == config::ZeroCopy::on)
            say(Status::missing, "zero-copy", fmt::format("driver {} does not offer it", kernel_driver()),
                "zero_copy is on", "set zero_copy: auto");
        else if (interface_.zero_copy == false)
            say(Status::degraded, "zero-copy", fmt::format("driver {} does not offer it", kernel_driver()),
                "the kernel copies each packet", "a NIC whose driver has it (ice, i40e, mlx5_core), or driver: pci");
        else
            met("zero-copy", interface_.zero_copy ? "the driver offers it" : "the kernel tells when it is tried");
    }

    // Decision 0019: what leaves together costs the kernel a third to an eighth of what it costs packet by packet.
    void segmentation(const std::string& kernel) {
        const bool copies = port_.zero_copy == config::ZeroCopy::off || port_.mode == config::XdpMode::generic;
        if (!copies && interface_.zero_copy != false) return;  // or the kernel tells when it is tried
        const char* const why = "each copy costs the kernel as much as three to eight do that leave as one";
        if (port_.segmentation == config::Segmentation::off)
            say(Status::degraded, "segmentation", "segmentation is off", why,
                "set segmentation: auto, unless receivers capture or run XDP instead of reading sockets");
        else if (kernel_version(kernel) < kSegmentsPackets)
            say(Status::degraded, "segmentation",
                fmt::format("{}, older than {}.{}", kernel, kSegmentsPackets.first, kSegmentsPackets.second), why,
                "a later kernel (Debian 12 has one in bookworm-backports)");
        else
            met("segmentation",
                port_.segmentation == config::Segmentation::on ? "of every track" : "of tracks with many receivers");
    }

    void queues() {
        const unsigned there = interface_.queues;
        if (there == 0) return met("queues", "the driver does not say how many there are");
        if (port_.queues > there)
            return say(
                Status::missing, "queues",
                fmt::format("{} are asked for, {} has {}", port_.queues, port_.interface, there),
                "each queue of the port needs one of the interface",
                fmt::format("ethtool -L {} combined {}, or set queues: {}", port_.interface, port_.queues, there));
        if (port_.queues < there)
            return say(
                Status::degraded, "queues",
                fmt::format("{} receives on {}, and {} of them {} steered", port_.interface, there, port_.queues,
                            port_.queues == 1 ? "is" : "are"),
                "media that arrives on the others stays with the kernel",
                fmt::format("ethtool -L {} combined {}, or set queues: {}", port_.interface, port_.queues, there));
        met("queues", fmt::format("{} of {}", port_.queues, there));
    }

    // With need_wakeup the driver's own NAPI brings packets to the socket, which nobody polls: a tenth at most was to
    // be had by polling (decision 0019), for a system call in each turn that finds nothing.
    void interrupts() {
        if (interface_.deferred == 0 || interface_.deferred_ns == 0)
            return met("interrupts", "not deferred: packets come as they arrive");
        const std::string settings = fmt::format("/sys/class/net/{}/", port_.interface);
        say(Status::degraded, "interrupts",
            fmt::format("{} are deferred, by {} µs each time", interface_.deferred, interface_.deferred_ns / 1000),
            "that is for sockets that are polled busily; ours are not, and packets wait for the timer",
            fmt::format("echo 0 > {0}napi_defer_hard_irqs; echo 0 > {0}gro_flush_timeout", settings));
    }

    // Decision 0019: the rings of a packet socket cost the kernel more for a packet than anything else.
    void driver(const Facts& facts) {
        if (!facts.xdp_sockets || interface_.native != true)
            return met("driver", "af_packet: native XDP is not to be had here");
        say(Status::degraded, "driver", fmt::format("af_packet, though driver {} has native XDP", kernel_driver()),
            "a packet costs the kernel one and a half to ten times what it does by AF_XDP", "set driver: af_xdp");
    }

    void mtu() {
        const bool native = port_.driver == config::Driver::af_xdp && port_.mode == config::XdpMode::native;
        if (native && interface_.mtu > kLargestXdpMtu)
            return say(Status::degraded, "MTU", fmt::format("{} has {}", port_.interface, interface_.mtu),
                       "most drivers refuse native XDP on frames that do not fit a page",
                       fmt::format("ip link set dev {} mtu 1500", port_.interface));
        if (interface_.mtu > kLargestMtu)
            return say(Status::degraded, "MTU", fmt::format("{} has {}", port_.interface, interface_.mtu),
                       fmt::format("a packet buffer holds frames of some {} bytes; larger ones are lost", kLargestMtu),
                       fmt::format("ip link set dev {} mtu 1500", port_.interface));
        met("MTU", std::to_string(interface_.mtu));
    }

    // AF_PACKET takes nothing from the kernel and leaves the NIC alone.
    void uplink() {
        const auto route = std::ranges::find(interface_.routes, true, &Route::is_default);
        if (route == interface_.routes.end()) return met("uplink", "no default route leaves by it");
        if (port_.driver == config::Driver::af_packet)
            return met("uplink", fmt::format("'{}' leaves by {}, and stays", route->text, port_.interface));
        say(port_.force ? Status::degraded : Status::missing, "uplink",
            fmt::format("'{}' leaves by {}{}", route->text, port_.interface, port_.force ? "; force is true" : ""),
            "attaching XDP resets some NICs, and UDP to media.ports of its addresses is lost to the kernel: the node "
            "may become unreachable",
            port_.force ? "take another interface for media"
                        : "take another interface for media, or set force: true on the port");
    }

private:
    void mode() {
        if (port_.mode == config::XdpMode::generic)
            return say(Status::degraded, "XDP", "mode is generic", "each packet takes the kernel's slow path first",
                       "set mode: auto");
        if (interface_.native == false && port_.mode == config::XdpMode::native)
            return say(Status::missing, "XDP", fmt::format("driver {} has no native XDP", kernel_driver()),
                       "mode is native", "set mode: auto, or driver: af_packet");
        if (interface_.native == false)
            return say(Status::degraded, "XDP", fmt::format("generic: driver {} has no native XDP", kernel_driver()),
                       "each packet takes the kernel's slow path first",
                       "a NIC whose driver has it (ice, i40e, mlx5_core)");
        met("XDP", interface_.native ? fmt::format("native, driver {}", kernel_driver())
                                     : "the kernel tells when it is tried");
    }
    std::string kernel_driver() const { return interface_.driver.empty() ? "unknown" : interface_.driver; }
    void met(const char* check, std::string found) {
        out_.push_back({check, port_.name, Status::met, std::move(found), "", ""});
    }
    void say(Status status, const char* check, std::string found, std::string why, std::string mend) {
        out_.push_back({check, port_.name, status, std::move(found), std::move(why), std::move(mend)});
    }

    const config::Port& port_;
    const Interface& interface_;
    Findings& out_;
};

}  // namespace

void judge_interface(const config::Port& port, const Interface& interface, const Facts& facts, Findings& out) {
    Judge judge{port, interface, out};
    judge.link();
    if (port.driver == config::Driver::af_xdp) {
        judge.xdp();
        judge.segmentation(facts.kernel);
        judge.queues();
        judge.interrupts();
    } else {
        judge.driver(facts);
    }
    judge.mtu();
    judge.uplink();
}

}  // namespace penstock::doctor
