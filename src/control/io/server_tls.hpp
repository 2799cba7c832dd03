#pragma once
// What those who connect to a listener with TLS meet: the certificate that is in force, and a count of how it went.
#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/time.hpp"
#include "control/io/certificate.hpp"
#include "control/io/fd.hpp"
#include "control/io/stream_socket.hpp"
#include "control/io/tls.hpp"

namespace penstock::io {

class ServerTls {
public:
    static constexpr Duration kPatience = std::chrono::seconds(10);  // for a handshake

    explicit ServerTls(Certificate certificate, Duration patience = kPatience)
        : certificate_(std::move(certificate)), patience_(patience) {}
    // From now on; connections that are there go on with what they began with.
    void show(Certificate certificate) { certificate_ = std::move(certificate); }
    const Certificate& certificate() const noexcept { return certificate_; }

    Duration patience() const noexcept { return patience_; }

    std::shared_ptr<TlsSocket> above(Fd socket) const {
        return std::make_shared<TlsSocket>(std::move(socket), std::make_unique<Tls>(certificate_.credentials));
    }
    void count(Handshake handshake) { handshakes_[static_cast<size_t>(handshake)]++; }
    uint64_t handshakes(Handshake handshake) const { return handshakes_[static_cast<size_t>(handshake)]; }

private:
    Certificate certificate_;
    const Duration patience_;
    std::array<uint64_t, static_cast<size_t>(Handshake::count_)> handshakes_{};
};

}  // namespace penstock::io
