#include "base/address.hpp"

#include <arpa/inet.h>  // inet_pton and inet_ntop only: pure text conversion
#include <fmt/format.h>

#include <charconv>

namespace penstock {
namespace {

template <class Number>
std::optional<Number> number(std::string_view text, unsigned long max, int base = 10) {
    unsigned long value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
    return static_cast<Number>(value);
}

}  // namespace

std::optional<Ip> Ip::parse(std::string_view text) {
    const std::string terminated{text};
    if (terminated.find('\0') != std::string::npos) return std::nullopt;
    std::array<std::byte, 16> raw{};
    if (inet_pton(AF_INET, terminated.c_str(), raw.data()) == 1)
        return v4(std::span<const std::byte, 16>{raw}.first<4>());
    if (inet_pton(AF_INET6, terminated.c_str(), raw.data()) == 1) return v6(raw);
    return std::nullopt;
}

bool Ip::is_unspecified() const noexcept {
    for (const std::byte b : wire())
        if (b != std::byte{0}) return false;
    return true;
}

std::string Ip::text() const {
    std::array<char, INET6_ADDRSTRLEN> out{};
    inet_ntop(is_v4() ? AF_INET : AF_INET6, wire().data(), out.data(), out.size());
    return out.data();
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto ip = Ip::parse(host);
    const auto port = number<uint16_t>(text.substr(colon + 1), 65535);
    if (!ip || !port || *port == 0 || ip->is_v4() == bracketed) return std::nullopt;
    return Endpoint{*ip, *port};
}

std::string Endpoint::text() const {
    return ip.is_v4() ? fmt::format("{}:{}", ip.text(), port) : fmt::format("[{}]:{}", ip.text(), port);
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto ip = Ip::parse(text.substr(0, slash));
    if (!ip) return std::nullopt;
    const auto length = number<uint8_t>(text.substr(slash + 1), ip->is_v4() ? 32 : 128);
    if (!length) return std::nullopt;
    return Prefix{*ip, *length};
}

bool Prefix::contains(const Ip& other) const noexcept {
    if (ip.is_v4() != other.is_v4()) return false;
    const auto mine = ip.wire(), theirs = other.wire();
    const size_t whole = length / 8;
    if (std::memcmp(mine.data(), theirs.data(), whole) != 0) return false;
    if (length % 8 == 0) return true;
    const auto mask = static_cast<std::byte>(0xff00 >> length % 8);
    return (mine[whole] & mask) == (theirs[whole] & mask);
}

std::string Prefix::text() const { return fmt::format("{}/{}", ip.text(), length); }

std::optional<Mac> Mac::parse(std::string_view text) {
    Mac mac;
    if (text.size() != 17) return std::nullopt;
    for (size_t i = 0; i < 6; i++) {
        const auto byte = number<uint8_t>(text.substr(3 * i, 2), 255, 16);
        if (!byte || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
        mac.bytes[i] = static_cast<std::byte>(*byte);
    }
    return mac;
}

Mac Mac::of_multicast(const Ip& group) noexcept {
    Mac mac;
    const auto& ip = group.bytes();
    if (group.is_v4()) {
        mac.bytes = {std::byte{0x01}, std::byte{0x00}, std::byte{0x5e}, ip[13] & std::byte{0x7f}, ip[14], ip[15]};
    } else {
        mac.bytes = {std::byte{0x33}, std::byte{0x33}, ip[12], ip[13], ip[14], ip[15]};
    }
    return mac;
}

std::string Mac::text() const {
    const auto at = [this](size_t i) { return std::to_integer<unsigned>(bytes[i]); };
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", at(0), at(1), at(2), at(3), at(4), at(5));
}

}  // namespace penstock
