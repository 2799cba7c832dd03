#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <sstream>

#include "base/address.hpp"
#include "doctor/read.hpp"

namespace penstock::doctor {
namespace {

constexpr unsigned kUp = 0x0001, kReject = 0x0200;  // RTF_UP, RTF_REJECT

uint32_t hex(const std::string& text) {
    uint32_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return value;
}

Ip ipv4(const std::string& text) {  // the address as the machine holds it: in memory it is in network order
    return Ip::v4(std::bit_cast<std::array<std::byte, 4>>(hex(text)));
}

Ip ipv6(const std::string& text) {
    std::array<std::byte, 16> bytes{};
    for (size_t i = 0; i < bytes.size() && 2 * i + 2 <= text.size(); i++)
        bytes[i] = static_cast<std::byte>(hex(text.substr(2 * i, 2)));
    return Ip::v6(bytes);
}

Route route(const Ip& to, unsigned length, const Ip& gateway) {
    Route made{length == 0 && to.is_unspecified(), {}};
    made.text = made.is_default ? "default" : to.text() + "/" + std::to_string(length);
    if (!gateway.is_unspecified()) made.text += " via " + gateway.text();
    return made;
}

}  // namespace

std::vector<Route> routes_by(std::string_view interface, std::string_view ipv4_table, std::string_view ipv6_table) {
    std::vector<Route> routes;
    std::istringstream four{std::string{ipv4_table}};
    for (std::string line; std::getline(four, line);) {
        std::istringstream words{line};
        std::string name, to, gateway, flags, references, use, metric, mask;
        if (!(words >> name >> to >> gateway >> flags >> references >> use >> metric >> mask)) continue;
        if (name != interface || !(hex(flags) & kUp) || hex(flags) & kReject) continue;
        routes.push_back(route(ipv4(to), static_cast<unsigned>(std::popcount(hex(mask))), ipv4(gateway)));
    }
    std::istringstream six{std::string{ipv6_table}};
    for (std::string line; std::getline(six, line);) {
        std::istringstream words{line};
        std::string to, length, from, from_length, gateway, metric, references, use, flags, name;
        if (!(words >> to >> length >> from >> from_length >> gateway >> metric >> references >> use >> flags >> name))
            continue;
        if (name != interface || !(hex(flags) & kUp) || hex(flags) & kReject) continue;
        // Not the interface's own addresses, nor what every interface has.
        if (hex(length) == 128 || ipv6(to).is_multicast() || to.starts_with("fe80")) continue;
        routes.push_back(route(ipv6(to), hex(length), ipv6(gateway)));
    }
    std::ranges::stable_sort(routes, std::ranges::greater{}, &Route::is_default);
    return routes;
}

}  // namespace penstock::doctor
