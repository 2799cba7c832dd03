#pragma once
// Addresses as values: IP (IPv4 as IPv4-mapped IPv6, RFC 4291 section 2.5.5.2), endpoint, prefix, MAC.
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace penstock {

class Ip {
public:
    constexpr Ip() noexcept = default;  // "::", which stands for "no address"
    static Ip v4(std::span<const std::byte, 4> network_order) noexcept {
        // As two words: a key is hashed and compared by words right after, and those must not wait for smaller stores.
        uint32_t address;
        std::memcpy(&address, network_order.data(), 4);
        const uint64_t low = uint64_t{address} << 32 | 0xffff0000;
        Ip ip;
        std::memcpy(&ip.bytes_[8], &low, 8);
        return ip;
    }
    static Ip v6(std::span<const std::byte, 16> network_order) noexcept {
        Ip ip;
        std::memcpy(ip.bytes_.data(), network_order.data(), 16);
        return ip;
    }
    // "10.0.0.1" or "2001:db8::1"; nothing else (no brackets, zone or prefix).
    static std::optional<Ip> parse(std::string_view text);

    bool is_v4() const noexcept { return std::memcmp(bytes_.data(), kMapped.data(), 12) == 0; }
    bool is_unspecified() const noexcept;  // 0.0.0.0 or ::
    bool is_multicast() const noexcept {
        return is_v4() ? (bytes_[12] & std::byte{0xf0}) == std::byte{0xe0} : bytes_[0] == std::byte{0xff};
    }
    // Network order: 4 bytes of an IPv4 address, 16 of an IPv6 one.
    std::span<const std::byte> wire() const noexcept {
        return is_v4() ? std::span<const std::byte>{bytes_}.subspan(12) : std::span<const std::byte>{bytes_};
    }
    const std::array<std::byte, 16>& bytes() const noexcept { return bytes_; }  // always 16, IPv4-mapped
    std::string text() const;
    auto operator<=>(const Ip&) const = default;

private:
    static constexpr std::array<std::byte, 12> kMapped{std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                                       std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                                       std::byte{0}, std::byte{0}, std::byte{0xff}, std::byte{0xff}};
    std::array<std::byte, 16> bytes_{};
};

struct Endpoint {
    Ip ip;
    uint16_t port = 0;
    // "10.0.0.1:5004" or "[2001:db8::1]:5004".
    static std::optional<Endpoint> parse(std::string_view text);
    std::string text() const;
    auto operator<=>(const Endpoint&) const = default;
};

struct Prefix {
    Ip ip;
    uint8_t length = 0;  // in bits of the address as written: 0-32 for IPv4, 0-128 for IPv6
    // "10.0.0.0/24" or "fd00::/64".
    static std::optional<Prefix> parse(std::string_view text);
    bool contains(const Ip& other) const noexcept;
    std::string text() const;
    auto operator<=>(const Prefix&) const = default;
};

struct Mac {
    std::array<std::byte, 6> bytes{};
    static std::optional<Mac> parse(std::string_view text);  // "02:00:00:00:00:01"
    // Where a multicast datagram is sent on Ethernet: RFC 1112 section 6.4, RFC 2464 section 7.
    static Mac of_multicast(const Ip& group) noexcept;
    std::string text() const;
    auto operator<=>(const Mac&) const = default;
};

}  // namespace penstock
