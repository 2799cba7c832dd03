#pragma once
// TLS 1.2 and 1.3 without a socket: bytes of the peer in, bytes for the peer out. Any chunking of the same bytes gives
// the same outputs. Clients show no certificate, and nothing is negotiated anew.
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "control/io/certificate.hpp"

struct gnutls_session_int;
struct iovec;

namespace penstock::io {

// How a handshake went.
enum class Handshake : uint8_t {
    done,
    timeout,    // the peer did not go on
    closed,     // it went away
    not_tls,    // it spoke something else
    version,    // it is too old: neither 1.2 nor 1.3
    cipher,     // nothing that both of us know
    refused,    // it does not want us, most often for our certificate
    untrusted,  // a client's: the certificate of the server
    malformed,
    count_
};
std::string_view name(Handshake handshake);

class Tls {
public:
    static constexpr size_t kLargestRecord = 16 * 1024;  // bytes of ours
    static constexpr size_t kMostHandshake = 64 * 1024;  // bytes of the peer before it is done

    explicit Tls(std::shared_ptr<const Credentials> shown);               // a server's end
    Tls(std::shared_ptr<const Credentials> trusted, std::string server);  // a client's, to a server of this name
    ~Tls();
    Tls(const Tls&) = delete;
    Tls& operator=(const Tls&) = delete;

    void receive(std::span<const std::byte> bytes);  // when read() wants more
    // What the peer said: bytes; 0: it says no more; -EAGAIN: receive() more first; -EPROTO: there is no going on.
    ssize_t read(std::span<std::byte> into);
    bool more() const;  // read() has some without receive()
    // One record at most: how much of it was taken. Not before the handshake is done.
    size_t write(std::span<const std::byte> bytes);
    void bye();

    std::string& out() noexcept { return out_; }  // for the peer, at once
    bool done() const noexcept { return done_; }  // the handshake
    // Why read() gave up. Before the handshake is done: what kept it.
    Handshake fault() const noexcept { return fault_; }
    const std::string& why() const noexcept { return why_; }

private:
    void open(unsigned flags, const char* priorities);
    ssize_t shake_hands();
    ssize_t broken(int error);
    void give_up(Handshake fault, std::string why);
    static ssize_t pull(void* self, void* into, size_t size);
    static ssize_t push(void* self, const iovec* parts, int count);

    const std::shared_ptr<const Credentials> credentials_;
    const std::string name_;  // of the server, for a client, which looks at it during the handshake
    gnutls_session_int* session_ = nullptr;
    const bool server_;
    std::string in_, out_;
    size_t taken_ = 0;  // of in_
    size_t heard_ = 0;  // bytes, before the handshake was done
    bool done_ = false, broken_ = false;
    Handshake fault_ = Handshake::closed;
    std::string why_;
};

}  // namespace penstock::io
