#pragma once
// The place of our XDP program on an interface: taken from nobody else, given back at the end.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"

namespace penstock::dataplane {

enum class Attach : uint8_t { automatic, native, generic };  // automatic: native, or generic where the driver refuses

inline constexpr std::string_view kXdpCapabilities = "CAP_NET_ADMIN, CAP_BPF and CAP_SYS_ADMIN";

class Attachment {
public:
    Attachment() noexcept = default;  // nowhere
    // `program` stays the caller's and must outlive the attachment.
    static Result<Attachment> make(const std::string& interface, int program, Attach wanted);
    Attachment(Attachment&& other) noexcept { *this = std::move(other); }
    Attachment& operator=(Attachment&& other) noexcept;
    ~Attachment();

    bool native() const noexcept;
    const std::string& how() const noexcept { return how_; }

private:
    int index_ = 0;
    int program_ = -1;
    int claim_ = -1;
    uint32_t mode_ = 0;  // XDP_FLAGS_*_MODE; 0: not attached
    std::string how_;
};

// Why the interface cannot have our program now: another penstock steers it, or a program of somebody else is there.
// Empty: it can have it.
std::string xdp_refusal(const std::string& interface);

// How many receive queues the driver says the interface has; 0: it does not say.
unsigned receive_queues(const std::string& interface);

}  // namespace penstock::dataplane
