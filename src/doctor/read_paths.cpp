#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "control/io/fd.hpp"
#include "control/io/socket_address.hpp"
#include "doctor/read.hpp"

namespace penstock::doctor {
namespace {

namespace fs = std::filesystem;
using config::Driver;

std::string open_refusal(const std::string& path, int flags) {
    const io::Fd fd{open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC)};
    return fd ? std::string{} : std::strerror(errno);
}

// Of the directory of `path`, or of the nearest one above that is there already.
std::string directory_refusal(const std::string& path, bool may_be_made) {
    std::error_code none;
    fs::path directory = fs::absolute(path, none).parent_path();
    while (may_be_made && !fs::exists(directory, none) && directory.has_relative_path())
        directory = directory.parent_path();
    // As the effective user, with its capabilities: access(2) asks for the real one.
    if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return {};
    return fmt::format("{}: {}", directory.string(), std::strerror(errno));
}

// Of a UNIX socket that is to be made.
std::string socket_refusal(const std::string& path, bool directory_may_be_made) {
    if (auto refused = directory_refusal(path, directory_may_be_made); !refused.empty()) return refused;
    struct stat found {};
    if (stat(path.c_str(), &found) != 0) return {};
    if (!S_ISSOCK(found.st_mode)) return "it is there, and no socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return "a path of 1-107 characters is allowed";
    path.copy(address.sun_path, path.size());
    const io::Fd probe{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN)
        return "another process serves it";
    return errno == ECONNREFUSED ? std::string{} : std::strerror(errno);  // refused: a killed one left it
}

// `shared`: the server lets others listen beside it.
std::string listen_refusal(const Endpoint& listen, bool shared) {
    const io::Fd probe{socket(listen.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const int on = 1;  // as the server has it
    setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared) setsockopt(probe.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    const auto address = io::socket_address(listen);
    return bind(probe.get(), address.get(), address.size) == 0 ? std::string{} : std::strerror(errno);
}

}  // namespace

void read_paths(const config::Config& config, Facts& facts) {
    const auto note = [&](const std::string& path, const std::string& refusal) {
        if (!path.empty() && !refusal.empty()) facts.unusable[path] = refusal;
    };
    for (const config::Port& port : config.ports) {
        if (port.twin || port.driver == Driver::tap) note("/dev/net/tun", open_refusal("/dev/net/tun", O_RDWR));
        if (port.driver == Driver::pci) note("/dev/vfio/vfio", open_refusal("/dev/vfio/vfio", O_RDWR));
        if (!port.socket.empty()) note(port.socket, socket_refusal(port.socket, false));
        if (!port.read.empty()) note(port.read, open_refusal(port.read, O_RDONLY));
        if (!port.write.empty()) note(port.write, directory_refusal(port.write, false));
    }
    for (auto& [address, device] : facts.devices)
        if (device.iommu_group) device.group_opens = open_refusal(device.group_path(), O_RDWR).empty();
}

void read_sockets(const config::Config& config, Facts& facts) {
    facts.control_refusal = socket_refusal(config.control.socket, true);
    const auto note = [&](const Endpoint& listen, bool shared) {
        if (auto why = listen_refusal(listen, shared); !why.empty()) facts.not_to_be_had[listen] = std::move(why);
    };
    if (config.metrics.listen) note(*config.metrics.listen, true);
    for (const Endpoint& listen : config.rtsp.listen) note(listen, false);
    if (config.rtsp.tls)
        for (const Endpoint& listen : config.rtsp.tls->listen) note(listen, false);
}

void read_bpf(Facts& facts) {
    constexpr int kXdpFamily = 44;  // AF_XDP
    facts.xdp_sockets = true;
    if (const io::Fd socket{::socket(kXdpFamily, SOCK_RAW | SOCK_CLOEXEC, 0)}; !socket)
        facts.xdp_sockets = errno != EAFNOSUPPORT;  // EPERM: CAP_NET_RAW is judged by itself
    if (!facts.capabilities.has(Capability::bpf) && !facts.capabilities.has(Capability::sys_admin)) return;
    const auto known = [](int answer) { return answer < 0 ? std::nullopt : std::optional{answer == 1}; };
    libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
    facts.xdp_programs = known(libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, nullptr));
    facts.xsk_maps = known(libbpf_probe_bpf_map_type(BPF_MAP_TYPE_XSKMAP, nullptr));
}

bool without_iommu(const config::Config& config) {
    Facts facts;
    for (const config::Port& port : config.ports)
        if (port.driver == Driver::pci) read_device("", port.device, facts);
    return std::ranges::any_of(facts.devices, [](const auto& device) { return device.second.without_iommu; });
}

Facts read_facts(const config::Config& config) {
    Facts facts;
    read_machine("", facts);
    for (const config::Port& port : config.ports)
        if (port.driver == Driver::pci) read_device("", port.device, facts);
    read_bpf(facts);
    read_interfaces(config, facts);
    read_paths(config, facts);
    read_sockets(config, facts);
    if (config.rtsp.tls) read_certificate(*config.rtsp.tls, facts);
    return facts;
}

}  // namespace penstock::doctor
