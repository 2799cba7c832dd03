#pragma once
// A request and its reply over the control socket, from the operator's end: blocking, with a deadline.
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "control/io/fd.hpp"

namespace penstock::cli {

class Connection {
public:
    static Result<Connection> open(const std::string& path);

    struct Reply {
        bool ok = false;
        std::string body;
    };
    Result<Reply> ask(std::string_view verb, std::string_view text);

private:
    explicit Connection(io::Fd fd) : fd_(std::move(fd)) {}
    io::Fd fd_;
    std::string in_;
};

}  // namespace penstock::cli
