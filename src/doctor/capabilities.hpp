#pragma once
// Which capabilities a port takes to start, and which it still needs while it runs. docs/operations.md has the same
// table, and tests/e2e/privileges.py proves it: enough, and not one too many. Pure.
#include <cstdint>
#include <string>

#include "control/config/config.hpp"

namespace penstock::doctor {

// Numbers of linux/capability.h, which are the kernel's ABI.
enum class Capability : uint8_t {
    net_bind_service = 10,
    net_admin = 12,
    net_raw = 13,
    ipc_lock = 14,
    sys_rawio = 17,
    sys_admin = 21,
    bpf = 39,
};

class Capabilities {
public:
    constexpr Capabilities() noexcept = default;
    constexpr explicit Capabilities(uint64_t bits) noexcept : bits_(bits) {}
    constexpr Capabilities(std::initializer_list<Capability> all) noexcept {
        for (const Capability one : all) bits_ |= bit(one);
    }
    constexpr bool has(Capability one) const noexcept { return (bits_ & bit(one)) != 0; }
    constexpr bool empty() const noexcept { return bits_ == 0; }
    constexpr uint64_t bits() const noexcept { return bits_; }
    constexpr Capabilities operator|(Capabilities more) const noexcept { return Capabilities{bits_ | more.bits_}; }
    constexpr Capabilities without(Capabilities those) const noexcept { return Capabilities{bits_ & ~those.bits_}; }
    std::string text() const;  // "CAP_NET_ADMIN, CAP_NET_RAW"

private:
    static constexpr uint64_t bit(Capability one) noexcept { return uint64_t{1} << static_cast<unsigned>(one); }
    uint64_t bits_ = 0;
};

// CAP_IPC_LOCK is not among them: it is one of two ways to lock memory (judge_memory.cpp).
Capabilities to_start(const config::Port& port);
// What a running forwarder keeps: neighbours are probed and XDP is detached (NET_ADMIN), steering maps change (BPF:
// kernels before 5.19 ask for it), an added stream may claim a low UDP port (NET_BIND_SERVICE).
Capabilities to_keep(const config::Config& config);
// For a device on vfio where there is no IOMMU: RAWIO to open it, ADMIN to see where memory lies.
constexpr Capabilities kWithoutIommu{Capability::sys_rawio, Capability::sys_admin};
// What is raised for as long as a port is opened again whose interface or device came back. `without_iommu`: some
// device has none.
Capabilities to_reopen(const config::Config& config, bool without_iommu);

}  // namespace penstock::doctor
