#pragma once
// Where the bytes of a connection leave: a TCP socket, or TLS above one. One thread writes to it at a time.
#include <sys/types.h>
#include <sys/uio.h>

#include <span>

namespace penstock {

class ByteSink {
public:
    virtual ~ByteSink() = default;
    // How many bytes were taken, from the first one on; -EAGAIN when the peer has to read first, else another negative
    // errno: nothing more can be sent. An edge-triggered EPOLLOUT of the descriptor tells the end of -EAGAIN. What was
    // taken may not have left yet, as the rest of a TLS record: without parts, 0 says that it has, -EAGAIN that it has
    // not.
    virtual ssize_t write(std::span<const iovec> parts) noexcept = 0;
    virtual int descriptor() const noexcept = 0;
};

}  // namespace penstock
