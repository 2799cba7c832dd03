#pragma once
// Bytes as tests write them.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace penstock::test {

using Bytes = std::vector<std::byte>;

inline void append(Bytes& to, std::span<const std::byte> more) { to.insert(to.end(), more.begin(), more.end()); }
inline void append8(Bytes& to, unsigned v) { to.push_back(static_cast<std::byte>(v & 0xff)); }
inline void append16(Bytes& to, unsigned v) {
    append8(to, v >> 8);
    append8(to, v);
}
inline void append32(Bytes& to, uint32_t v) {
    append16(to, v >> 16);
    append16(to, v & 0xffff);
}
inline unsigned at16(std::span<const std::byte> from, size_t i) {
    return std::to_integer<unsigned>(from[i]) << 8 | std::to_integer<unsigned>(from[i + 1]);
}
inline unsigned at8(std::span<const std::byte> from, size_t i) { return std::to_integer<unsigned>(from[i]); }

// "80 60 0001": hexadecimal digits, blanks between them as one likes.
inline Bytes hex(std::string_view text) {
    Bytes out;
    unsigned high = 0;
    bool half = false;
    for (const char c : text) {
        if (c == ' ' || c == '\n') continue;
        const auto digit = static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        if (half) append8(out, high << 4 | digit);
        high = digit;
        half = !half;
    }
    return out;
}

// A payload that differs everywhere, so that a byte in the wrong place is seen.
inline Bytes numbered(size_t size, unsigned from = 0) {
    Bytes out;
    for (size_t i = 0; i < size; i++) append8(out, static_cast<unsigned>(from + i * 7 + (i >> 8)));
    return out;
}

// The one's-complement sum as RFC 1071 tells it, word by word: the model that wire::sum16 is compared with.
inline unsigned naive_sum(std::span<const std::byte> bytes, unsigned sum = 0) {
    for (size_t i = 0; i < bytes.size(); i += 2) {
        sum += at8(bytes, i) << 8;
        if (i + 1 < bytes.size()) sum += at8(bytes, i + 1);
        if (sum > 0xffff) sum = (sum & 0xffff) + 1;
    }
    return sum;
}

}  // namespace penstock::test
