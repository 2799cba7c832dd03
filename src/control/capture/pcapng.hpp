#pragma once
// The blocks of a pcapng file (draft-ietf-opsawg-pcapng), appended to a buffer. Pure.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::capture::pcapng {

using Buffer = std::vector<std::byte>;

struct Packet {
    uint32_t interface = 0;    // in the order of append_interface()
    uint64_t nanoseconds = 0;  // since 1970
    uint32_t original = 0;     // bytes of the frame on the wire
    bool outbound = false;
    std::string_view comment;
    std::span<const std::byte> bytes;
};

void append_section(Buffer& to, std::string_view application);                                          // first of all
void append_interface(Buffer& to, std::string_view name, std::string_view description, uint32_t snap);  // Ethernet
void append_packet(Buffer& to, const Packet& packet);

}  // namespace penstock::capture::pcapng
