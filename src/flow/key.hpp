#pragma once
// What identifies an arriving flow. The sender and the rx port may narrow it further (Flow::matches).
#include <cstdint>
#include <cstring>

#include "base/address.hpp"

namespace penstock::flow {

struct Key {
    Ip destination;
    uint16_t port = 0;
    uint16_t vlan = 0;  // 802.1Q VLAN id; 0: untagged
    bool operator==(const Key& other) const noexcept { return std::memcmp(this, &other, sizeof *this) == 0; }
};
static_assert(sizeof(Key) == 20);

// Spread only: which keys exist is the operator's choice, not a sender's, so it need not resist an attacker.
inline uint64_t hash(const Key& key) noexcept {
    uint64_t a, b;
    std::memcpy(&a, key.destination.bytes().data(), 8);
    std::memcpy(&b, key.destination.bytes().data() + 8, 8);
    const uint64_t c = uint64_t{key.vlan} << 16 | key.port;
    uint64_t h = (a ^ c) * 0x9e3779b97f4a7c15ULL ^ b;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
    return h ^ h >> 32;
}

}  // namespace penstock::flow
