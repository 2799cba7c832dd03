#pragma once
// A session description (SDP, RFC 8866) as values. What is not understood is kept: what was read can be written again.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace penstock::sdp {

struct Origin {  // o=
    std::string username = "-";
    std::string session_id = "0";
    std::string version = "0";
    std::string net_type = "IN";
    std::string address_type = "IP4";
    std::string address = "0.0.0.0";
    bool operator==(const Origin&) const = default;
};

struct Connection {  // c=
    std::string net_type = "IN";
    std::string address_type = "IP4";
    std::string address;  // "239.1.1.1/16/3" is taken apart
    std::optional<uint8_t> ttl;
    std::optional<uint32_t> count;
    bool operator==(const Connection&) const = default;
};

struct Bandwidth {  // b=
    std::string type;
    uint64_t value = 0;
    bool operator==(const Bandwidth&) const = default;
};

struct Time {  // t=, with its r=
    uint64_t start = 0;
    uint64_t stop = 0;
    std::vector<std::string> repeats;
    bool operator==(const Time&) const = default;
};

struct Attribute {  // a=name or a=name:value
    std::string name;
    std::optional<std::string> value;
    bool operator==(const Attribute&) const = default;
};

struct Line {  // of a type that RFC 8866 does not know
    char type = 0;
    std::string value;
    bool operator==(const Line&) const = default;
};

using Attributes = std::vector<Attribute>;
// The value of the first attribute of that name; a name without a value gives an empty text.
std::optional<std::string_view> find(const Attributes& attributes, std::string_view name);

struct Media {  // m= and what follows it
    std::string type;
    uint16_t port = 0;
    std::optional<uint32_t> port_count;
    std::string protocol = "RTP/AVP";
    std::vector<std::string> formats;
    std::optional<std::string> information;
    std::vector<Connection> connections;
    std::vector<Bandwidth> bandwidths;
    std::optional<std::string> key;
    Attributes attributes;
    std::vector<Line> others;
    bool operator==(const Media&) const = default;

    // "96" -> "H264/90000"; of a=rtpmap and a=fmtp.
    std::optional<std::string_view> rtpmap(std::string_view format) const;
    std::optional<std::string_view> fmtp(std::string_view format) const;
};

struct Description {
    Origin origin;
    std::string name = "-";
    std::optional<std::string> information, uri;
    std::vector<std::string> emails, phones;
    std::optional<Connection> connection;
    std::vector<Bandwidth> bandwidths;
    std::vector<Time> times;
    std::optional<std::string> zones, key;
    Attributes attributes;
    std::vector<Line> others;
    std::vector<Media> media;
    bool operator==(const Description&) const = default;
};

inline constexpr size_t kLongest = 64 * 1024;  // bytes of text
inline constexpr size_t kMostLines = 2048;
inline constexpr size_t kMostMedia = 64;

// Lenient: parse.cpp tells which deviations are let through, and whose they are.
Result<Description> parse(std::string_view text);
// Strict: in the order of RFC 8866 section 9, or refused when a value could not be read again.
Result<std::string> write(const Description& description);

}  // namespace penstock::sdp
