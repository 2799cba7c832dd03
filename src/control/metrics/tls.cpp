#include "control/metrics/tls.hpp"

#include <fmt/format.h>

#include "control/metrics/family.hpp"

namespace penstock::metrics {

std::string render(const io::ServerTls& tls) {
    Family expiry("rtsp_certificate_expiry_timestamp_seconds", "gauge",
                  "When the certificate of RTSPS, or one that it depends on, expires.");
    expiry.sample("", tls.certificate().until);
    Family handshakes("rtsp_tls_handshakes_total", "counter", "TLS handshakes of RTSPS that ended, by how.");
    for (size_t h = 0; h < static_cast<size_t>(io::Handshake::count_); h++)
        if (const auto how = static_cast<io::Handshake>(h); how != io::Handshake::untrusted)  // which is a client's
            handshakes.sample(fmt::format("result=\"{}\"", name(how)), tls.handshakes(how));
    return expiry.text() + handshakes.text();
}

}  // namespace penstock::metrics
