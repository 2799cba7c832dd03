#include "control/capture/pcapng.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace penstock::capture::pcapng {
namespace {

// Block and option codes: sections 4.1 to 4.3 and 3.5 of the draft. Numbers are in the writer's byte order, which the
// section header tells.
enum : uint32_t { kSectionHeader = 0x0a0d0d0a, kInterface = 1, kEnhancedPacket = 6 };
enum : uint16_t { kEnd = 0, kComment = 1, kName = 2, kDescription = 3, kApplication = 4, kFlags = 2, kResolution = 9 };

template <class Number>
void put(Buffer& to, Number n) {
    const auto at = to.size();
    to.resize(at + sizeof n);
    std::memcpy(&to[at], &n, sizeof n);
}

void put_padded(Buffer& to, std::span<const std::byte> bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
    to.resize((to.size() + 3) / 4 * 4);
}

void put_option(Buffer& to, uint16_t code, std::span<const std::byte> value) {
    value = value.first(std::min<size_t>(value.size(), std::numeric_limits<uint16_t>::max()));
    put(to, code);
    put(to, static_cast<uint16_t>(value.size()));
    put_padded(to, value);
}

void put_option(Buffer& to, uint16_t code, std::string_view text) {
    if (!text.empty()) put_option(to, code, std::as_bytes(std::span{text}));
}

// Type, length, what `body` appends, an end of options, and the length again.
template <class Body>
void block(Buffer& to, uint32_t type, Body body) {
    const size_t start = to.size();
    put(to, type);
    put(to, uint32_t{0});
    body();
    put(to, kEnd);
    put(to, uint16_t{0});
    const auto length = static_cast<uint32_t>(to.size() + 4 - start);
    put(to, length);
    std::memcpy(&to[start + 4], &length, sizeof length);
}

}  // namespace

// Blocks of a buffer are aligned to 4 bytes, so padding relative to the buffer is padding relative to the block.
void append_section(Buffer& to, std::string_view application) {
    block(to, kSectionHeader, [&] {
        put(to, uint32_t{0x1a2b3c4d});
        put(to, uint16_t{1});  // version 1.0
        put(to, uint16_t{0});
        put(to, ~uint64_t{0});  // length of the section: not known
        put_option(to, kApplication, application);
    });
}

void append_interface(Buffer& to, std::string_view name, std::string_view description, uint32_t snap) {
    block(to, kInterface, [&] {
        put(to, uint16_t{1});  // LINKTYPE_ETHERNET
        put(to, uint16_t{0});
        put(to, snap);
        put_option(to, kName, name);
        put_option(to, kDescription, description);
        const std::byte nanoseconds{9};  // 10^-9 s
        put_option(to, kResolution, std::span{&nanoseconds, 1});
    });
}

void append_packet(Buffer& to, const Packet& packet) {
    block(to, kEnhancedPacket, [&] {
        put(to, packet.interface);
        put(to, static_cast<uint32_t>(packet.nanoseconds >> 32));
        put(to, static_cast<uint32_t>(packet.nanoseconds));
        put(to, static_cast<uint32_t>(packet.bytes.size()));
        put(to, packet.original);
        put_padded(to, packet.bytes);
        const uint32_t direction = packet.outbound ? 2 : 1;
        put_option(to, kFlags, std::as_bytes(std::span{&direction, 1}));
        put_option(to, kComment, packet.comment);
    });
}

}  // namespace penstock::capture::pcapng
