#pragma once
// XDP on one interface: media goes to the AF_XDP sockets of the port, everything else stays with the kernel.
// Attach before the DPDK port of the interface is made: the driver then adopts this program (steer.bpf.c says how).
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "dataplane/xdp/attachment.hpp"
#include "flow/key.hpp"

namespace penstock::dataplane {

using FlowKey = flow::Key;

// For one thread (control). The program is detached when this object goes, and only if it is still ours.
class Steering {
public:
    // Takes over what a killed penstock left behind; touches nobody else's program. `queues`: how many receive queues
    // get a socket, the first ones. Nothing is steered until the setters below say what.
    static Result<Steering> attach(std::string_view interface, Attach wanted, unsigned queues);
    Steering(Steering&&) noexcept;
    Steering& operator=(Steering&&) noexcept;
    ~Steering();

    // Inclusive; they count on the addresses of set_addresses, in any VLAN.
    Result<void> set_media_ports(uint16_t first, uint16_t last);
    // These replace the set by difference: what is in the old and in the new one is never absent for a moment.
    Result<void> set_addresses(std::span<const Ip> addresses);
    Result<void> set_flows(std::span<const FlowKey> flows);
    // Single changes, for as much work as they are: what is there already, or already not, is left alone. Flows that
    // found no room are told, remembered, and steered as soon as others go.
    Result<void> add_flows(std::span<const FlowKey> flows);
    void remove_flows(std::span<const FlowKey> flows);

    bool native() const noexcept;
    // "native (driver veth)", or "generic: driver dummy refuses native XDP (Operation not supported)".
    const std::string& how() const noexcept;
    // What the operator should know, with the command that mends it. Empty: nothing.
    const std::string& warning() const noexcept;

private:
    struct State;
    explicit Steering(std::unique_ptr<State> state) noexcept;
    std::unique_ptr<State> state_;
};

}  // namespace penstock::dataplane
