#pragma once
// UDP over IPv4 in Ethernet: written for what is sent, read from what arrives.
#include <optional>
#include <span>

#include "base/address.hpp"

namespace penstock::gen {

inline constexpr size_t kUdpHeaders = 14 + 20 + 8;

struct Ends {
    Mac from_mac, to_mac;
    Endpoint from, to;
};

// Headers in front of the payload that fills the rest of the frame, checksums included.
void write_headers(std::span<std::byte> frame, const Ends& ends) noexcept;

struct Datagram {
    Endpoint to;
    std::span<const std::byte> payload;
    bool checksum_right = false;
};

// Nothing: not a whole UDP datagram over IPv4.
std::optional<Datagram> read_frame(std::span<const std::byte> frame) noexcept;

}  // namespace penstock::gen
