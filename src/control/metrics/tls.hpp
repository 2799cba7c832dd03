#pragma once
// What is measured of a listener with TLS, in the Prometheus text format. Pure.
#include <string>

#include "control/io/server_tls.hpp"

namespace penstock::metrics {

std::string render(const io::ServerTls& tls);

}  // namespace penstock::metrics
