#include "dataplane/xdp/steering.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <steer.skel.h>
#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>

#include "dataplane/xdp/libbpf_words.hpp"
#include "dataplane/xdp/map_set.hpp"
#include "dataplane/xdp/steer_maps.h"

namespace penstock::dataplane {
namespace {

struct Unload {
    void operator()(penstock_steer* program) const noexcept { penstock_steer__destroy(program); }
};
using Program = std::unique_ptr<penstock_steer, Unload>;
using Addresses = MapSet<sizeof(steer_address)>;
using Flows = MapSet<sizeof(steer_flow)>;

std::vector<Flows::Key> as_in_the_map(std::span<const FlowKey> flows) {
    std::vector<Flows::Key> keys;
    keys.reserve(flows.size());
    for (const FlowKey& key : flows) {
        const auto destination = std::bit_cast<steer_address>(key.destination.bytes());
        keys.push_back(std::bit_cast<Flows::Key>(steer_flow{destination, key.port, key.vlan}));
    }
    return keys;
}

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
    Addresses addresses;
    Flows flows;
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
    const auto& maps = (*program)->maps;
    const Addresses addresses(bpf_map__fd(maps.media_addresses), STEER_MAX_ADDRESSES, "addresses");
    const Flows flows(bpf_map__fd(maps.penstock_flows), STEER_MAX_FLOWS, "flows");
    Steering steering{std::make_unique<State>(std::move(*program), Attachment{},
                                              warning_about(interface, there, queues), addresses, flows)};
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
    std::vector<Addresses::Key> wanted;
    wanted.reserve(addresses.size());
    for (const Ip& ip : addresses) wanted.push_back(ip.bytes());
    return state_->addresses.replace(wanted);
}

Result<void> Steering::set_flows(std::span<const FlowKey> flows) { return state_->flows.replace(as_in_the_map(flows)); }
Result<void> Steering::add_flows(std::span<const FlowKey> flows) { return state_->flows.add(as_in_the_map(flows)); }
void Steering::remove_flows(std::span<const FlowKey> flows) { state_->flows.remove(as_in_the_map(flows)); }

bool Steering::native() const noexcept { return state_->attachment.native(); }
const std::string& Steering::how() const noexcept { return state_->attachment.how(); }
const std::string& Steering::warning() const noexcept { return state_->warning; }

}  // namespace penstock::dataplane
