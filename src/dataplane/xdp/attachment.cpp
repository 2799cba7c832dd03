#include "dataplane/xdp/attachment.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <system_error>

#include "dataplane/xdp/libbpf_words.hpp"
#include "dataplane/xdp/steer_maps.h"

namespace penstock::dataplane {
namespace {

class Fd {
public:
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() {
        if (fd_ >= 0) close(fd_);
    }
    int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_;
};

template <class Request>
bool ask_driver(const std::string& interface, Request& request) {
    const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ifreq ifr{};
    interface.copy(ifr.ifr_name, sizeof ifr.ifr_name - 1);
    ifr.ifr_data = reinterpret_cast<char*>(&request);
    return ioctl(socket.get(), SIOCETHTOOL, &ifr) == 0;
}

std::string driver_of(const std::string& interface) {
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    return ask_driver(interface, info) ? info.driver : "unknown";
}

// An abstract socket as a lock: the name belongs to the network namespace, as the interface does, and the kernel
// releases it however the process ends. It tells a program left behind from one in use.
Result<Fd> claim(const std::string& interface, int index) {
    Fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = fmt::format("penstock/xdp/{}", index);
    name.copy(address.sun_path + 1, name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) return socket;
    if (errno == EADDRINUSE)
        return fail(fmt::format("another penstock steers {}: stop it, or name another interface", interface));
    return fail(fmt::format("cannot claim {}: {}", interface, std::generic_category().message(errno)));
}

struct Present {
    uint32_t mode;
    Fd program;
};

// The function's name does not tell: libxdp's own default program has the same.
bool is_ours(const Fd& program) {
    std::array<uint32_t, 16> ids{};
    bpf_prog_info info{};
    info.nr_map_ids = ids.size();
    info.map_ids = reinterpret_cast<uintptr_t>(ids.data());
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) return false;
    return std::ranges::any_of(std::span{ids}.first(std::min<size_t>(info.nr_map_ids, ids.size())), [](uint32_t id) {
        const Fd map{bpf_map_get_fd_by_id(id)};
        bpf_map_info about{};
        uint32_t about_size = sizeof about;
        return map && bpf_obj_get_info_by_fd(map.get(), &about, &about_size) == 0 &&
               std::string_view{STEER_FLOWS_MAP_NAME} == about.name;
    });
}

// A program of ours that a killed process left attached, or nothing, or why the interface cannot be had.
Result<std::optional<Present>> left_behind(const std::string& interface, int index) {
    forget_libbpf_words();
    bpf_xdp_query_opts query{};
    query.sz = sizeof query;
    if (const int error = bpf_xdp_query(index, 0, &query); error != 0)
        return fail(fmt::format("cannot ask for the XDP program of {}: {}", interface, kernel_reason(-error)));
    std::optional<Present> ours;
    for (const auto& [mode, id] : {std::pair{XDP_FLAGS_DRV_MODE, query.drv_prog_id},
                                   {XDP_FLAGS_SKB_MODE, query.skb_prog_id},
                                   {XDP_FLAGS_HW_MODE, query.hw_prog_id}}) {
        if (id == 0) continue;
        const auto remedy = fmt::format("`ip link set dev {} xdp off`, or name another interface", interface);
        Fd program{bpf_prog_get_fd_by_id(id)};
        if (!program && errno == ENOENT) continue;  // it went in between
        if (!program)
            return fail(fmt::format("{} has an XDP program (id {}), and to see whose it is takes {}, or root. Or {}",
                                    interface, id, kXdpCapabilities, remedy));
        bpf_prog_info info{};
        uint32_t size = sizeof info;
        if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0 || !is_ours(program))
            return fail(fmt::format("{} has an XDP program that is not penstock's (id {}, name {}): {}", interface, id,
                                    info.name, remedy));
        ours.emplace(Present{static_cast<uint32_t>(mode), std::move(program)});
    }
    return ours;
}

// Puts the program there in one mode. What is `present` in that mode is replaced without a moment in between; the
// kernel does not have native and generic at once, so what is in another mode is detached first. Returns 0 or an errno.
int put(int index, int program, uint32_t mode, std::optional<Present>& present) {
    forget_libbpf_words();
    bpf_xdp_attach_opts replace{};
    replace.sz = sizeof replace;
    if (present) replace.old_prog_fd = present->program.get();  // the kernel compares: nobody else's is replaced
    if (present && present->mode == mode) return -bpf_xdp_attach(index, program, mode, &replace);
    if (present) bpf_xdp_detach(index, present->mode, &replace);
    present.reset();
    return -bpf_xdp_attach(index, program, mode | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr);
}

std::string cannot_attach(std::string_view interface, std::string_view mode, std::string_view driver, int error) {
    std::string remedy = "set mode: auto, or driver: af_packet";
    if (error == EPERM) remedy = fmt::format("it takes {}, or root", kXdpCapabilities);
    if (error == EEXIST || error == EBUSY) remedy = "another program came first: try again, or name another interface";
    if (error == ENODEV) remedy = "the interface has gone";
    return fmt::format("cannot attach XDP to {} in {} mode (driver {}): {}. {}", interface, mode, driver,
                       kernel_reason(error), remedy);
}

}  // namespace

Result<Attachment> Attachment::make(const std::string& interface, int program, Attach wanted) {
    const int index = static_cast<int>(if_nametoindex(interface.c_str()));
    if (index == 0) return fail(fmt::format("there is no interface {}: `ip link` lists those there are", interface));
    auto claimed = claim(interface, index);
    if (!claimed) return std::unexpected(claimed.error());
    auto present = left_behind(interface, index);
    if (!present) return std::unexpected(present.error());

    Attachment made;
    const std::string driver = driver_of(interface);
    std::string refusal = "as configured";
    if (wanted != Attach::generic) {
        const int error = put(index, program, XDP_FLAGS_DRV_MODE, *present);
        if (error == 0) {
            made.mode_ = XDP_FLAGS_DRV_MODE;
            made.how_ = fmt::format("native (driver {})", driver);
        } else if (wanted == Attach::native || error == EPERM || error == EEXIST || error == EBUSY || error == ENODEV) {
            return fail(cannot_attach(interface, "native", driver, error));
        }
        refusal = fmt::format("driver {} refuses native XDP: {}", driver, kernel_reason(error));
    }
    if (made.mode_ == 0) {
        if (const int error = put(index, program, XDP_FLAGS_SKB_MODE, *present); error != 0)
            return fail(cannot_attach(interface, "generic", driver, error));
        made.mode_ = XDP_FLAGS_SKB_MODE;
        made.how_ = "generic: " + refusal;
    }
    made.index_ = index;
    made.program_ = program;
    made.claim_ = claimed->release();
    return made;
}

Attachment& Attachment::operator=(Attachment&& other) noexcept {
    std::swap(index_, other.index_);
    std::swap(program_, other.program_);
    std::swap(claim_, other.claim_);
    std::swap(mode_, other.mode_);
    std::swap(how_, other.how_);
    return *this;
}

Attachment::~Attachment() {
    if (mode_ == 0) return;
    // The DPDK driver detaches whatever is there when it closes, so ours may be gone and somebody else's be there: the
    // kernel compares with the program that is expected.
    bpf_xdp_attach_opts only_ours{};
    only_ours.sz = sizeof only_ours;
    only_ours.old_prog_fd = program_;
    bpf_xdp_detach(index_, mode_, &only_ours);
    close(claim_);
}

bool Attachment::native() const noexcept { return mode_ == XDP_FLAGS_DRV_MODE; }

std::string xdp_refusal(const std::string& interface) {
    listen_to_libbpf();
    const int index = static_cast<int>(if_nametoindex(interface.c_str()));
    const auto claimed = claim(interface, index);
    if (!claimed) return claimed.error().text;
    const auto present = left_behind(interface, index);
    return present ? std::string{} : present.error().text;
}

unsigned receive_queues(const std::string& interface) {
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    return ask_driver(interface, channels) ? channels.combined_count + channels.rx_count : 0;
}

}  // namespace penstock::dataplane
