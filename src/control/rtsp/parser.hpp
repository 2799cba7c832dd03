#pragma once
// Bytes of one connection, in any chunks, to messages: requests and responses of both directions and interleaved
// frames, as they come. Memory is bounded; after the first error nothing more can be understood.
#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "control/rtsp/message.hpp"

namespace penstock::rtsp {

struct Malformed {
    int status = 400;  // what to answer before closing
    std::string_view why;
    std::string cseq;  // of the request that is wrong, when it got so far
    bool operator==(const Malformed&) const = default;
};

class Parser {
public:
    void receive(std::span<const std::byte> bytes);
    // The next whole message; nothing while it is not complete.
    std::expected<std::optional<Message>, Malformed> next();
    size_t waiting() const noexcept { return bytes_.size() - taken_; }  // bytes received and not yet used

private:
    std::expected<std::optional<Message>, Malformed> take_frame();
    std::expected<std::optional<Message>, Malformed> take_text();
    std::optional<std::string_view> head();
    std::string_view rest() const noexcept { return std::string_view(bytes_).substr(taken_); }

    std::string bytes_;
    size_t taken_ = 0;     // of bytes_: used up
    size_t searched_ = 0;  // of rest(): holds no end of the head
    size_t needed_ = 0;    // of rest(): so long is the message whose head is known, 0 while it is not
    std::optional<Malformed> wrong_;
};

}  // namespace penstock::rtsp
