#include "dataplane/xdp/steering.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <steer.skel.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <system_error>
#include <utility>

#include "dataplane/xdp/libbpf_words.hpp"
#include "dataplane/xdp/steer_maps.h"

namespace penstock::dataplane {
namespace {

struct Unload {
    void operator()(penstock_steer* program) const noexcept { penstock_steer__destroy(program); }
};
using Program = std::unique_ptr<penstock_steer, Unload>;
using AddressKey = std::array<std::byte, sizeof(steer_address)>;  // as the maps compare them: byte by byte
using FlowMapKey = std::array<std::byte, sizeof(steer_flow)>;

// std::array compares byte by byte, which takes several times as long: 100,000 flows make it felt.
constexpr auto kBefore = [](const auto& a, const auto& b) { return std::memcmp(a.data(), b.data(), a.size()) < 0; };

Result<Program> load(std::string_view interface) {
    forget_libbpf_words();
    Program program{penstock_steer__open_and_load()};
    if (program) return program;
    const int error = errno;
    if (error == EPERM || error == EACCES)
        return fail(fmt::format("loading the XDP program for {} was refused ({}): it takes {}, or root", interface,
                                std::generic_category().message(error), kXdpCapabilities));
    return fail(fmt::format("the kernel does not take the XDP program for {} ({}); driver: af_packet works without. {}",
                            interface, std::generic_category().message(error), libbpf_words()));
}

// Makes the map hold `wanted`. `held` is what it holds, before and after, whatever happens.
template <class Key>
Result<void> replace_by_difference(int map, std::vector<Key>& held, std::vector<Key> wanted, size_t capacity,
                                   std::string_view what) {
    std::ranges::sort(wanted, kBefore);
    const auto repeated = std::ranges::unique(wanted);
    wanted.erase(repeated.begin(), repeated.end());
    if (wanted.size() > capacity)
        return fail(
            fmt::format("{} {} cannot be steered: {} is the most on one interface", wanted.size(), what, capacity));
    std::vector<Key> kept, removed, added;
    std::ranges::set_intersection(held, wanted, std::back_inserter(kept), kBefore);
    std::ranges::set_difference(held, wanted, std::back_inserter(removed), kBefore);
    std::ranges::set_difference(wanted, held, std::back_inserter(added), kBefore);
    for (const Key& key : removed) bpf_map_delete_elem(map, key.data());  // could fail only by not being there
    held = std::move(kept);
    const uint8_t present = 1;
    int error = 0;
    for (const Key& key : added) {
        if (error = -bpf_map_update_elem(map, key.data(), &present, BPF_ANY); error != 0) break;
        held.push_back(key);
    }
    if (!added.empty()) std::ranges::sort(held, kBefore);
    if (error == 0) return {};
    return fail(fmt::format("cannot steer {} {}: {}", wanted.size(), what, std::generic_category().message(error)));
}

std::string warning_about(std::string_view interface, unsigned there, unsigned queues) {
    if (there <= queues) return {};
    return fmt::format(
        "{0} receives on {1} queues and the first {2} {3} steered: media on the others stays with the kernel. "
        "Set queues: {1}, or give the interface fewer with `ethtool -L {0}`",
        interface, there, queues, queues == 1 ? "is" : "are");
}

}  // namespace

struct Steering::State {
    Program program;
    Attachment attachment;  // goes before the program
    std::string warning;
    std::vector<AddressKey> addresses;  // what the maps hold, sorted
    std::vector<FlowMapKey> flows;
};

Steering::Steering(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Steering::Steering(Steering&&) noexcept = default;
Steering& Steering::operator=(Steering&&) noexcept = default;
Steering::~Steering() = default;

Result<Steering> Steering::attach(std::string_view interface, Attach wanted, unsigned queues) {
    listen_to_libbpf();
    const std::string name{interface};
    const unsigned there = receive_queues(name);
    if (queues == 0 || queues > STEER_MAX_QUEUES || (there != 0 && queues > there))
        return fail(fmt::format("{} queues cannot be steered on {}: 1 to {} can", queues, interface,
                                there == 0 ? STEER_MAX_QUEUES : std::min<unsigned>(there, STEER_MAX_QUEUES)));
    auto program = load(interface);
    if (!program) return std::unexpected(program.error());
    Steering steering{std::make_unique<State>()};
    steering.state_->program = std::move(*program);
    steering.state_->warning = warning_about(interface, there, queues);
    auto attachment = Attachment::make(name, bpf_program__fd(steering.state_->program->progs.xsk_def_prog), wanted);
    if (!attachment) return std::unexpected(attachment.error());
    steering.state_->attachment = std::move(*attachment);
    return steering;
}

Result<void> Steering::set_media_ports(uint16_t first, uint16_t last) {
    if (first == 0 || first > last)
        return fail(
            fmt::format("media ports {}-{} are no range: it begins at 1 or more and does not end before", first, last));
    // The variable is mapped into this process; the program reads it at any time, as one word.
    std::atomic_ref{state_->program->data->media_ports}.store(uint32_t{first} << 16 | last, std::memory_order_relaxed);
    return {};
}

Result<void> Steering::set_addresses(std::span<const Ip> addresses) {
    std::vector<AddressKey> wanted;
    wanted.reserve(addresses.size());
    for (const Ip& ip : addresses) wanted.push_back(ip.bytes());
    return replace_by_difference(bpf_map__fd(state_->program->maps.media_addresses), state_->addresses,
                                 std::move(wanted), STEER_MAX_ADDRESSES, "addresses");
}

Result<void> Steering::set_flows(std::span<const FlowKey> flows) {
    std::vector<FlowMapKey> wanted;
    wanted.reserve(flows.size());
    for (const FlowKey& key : flows) {
        const auto destination = std::bit_cast<steer_address>(key.destination.bytes());
        wanted.push_back(std::bit_cast<FlowMapKey>(steer_flow{destination, key.port, key.vlan}));
    }
    return replace_by_difference(bpf_map__fd(state_->program->maps.penstock_flows), state_->flows, std::move(wanted),
                                 STEER_MAX_FLOWS, "flows");
}

bool Steering::native() const noexcept { return state_->attachment.native(); }
const std::string& Steering::how() const noexcept { return state_->attachment.how(); }
const std::string& Steering::warning() const noexcept { return state_->warning; }

}  // namespace penstock::dataplane
