// What RTSP takes from the configuration, at the start and while it runs, and what it says of passwords.
#include <fmt/format.h>

#include "rtsp.hpp"
#include "version.hpp"

namespace penstock {

rtsp::ServerSettings Rtsp::settings_of(const config::Rtsp& rtsp) {
    rtsp::ServerSettings s;
    s.software = fmt::format("penstock/{}", kVersion);
    s.access = rtsp.access;
    s.session_timeout = rtsp.session_timeout;
    s.per_address = {.connections = rtsp.connections_per_address,
                     .sessions = rtsp.sessions_per_address,
                     .requests = rtsp.requests_per_address,
                     .streams = rtsp.streams_per_address,
                     .failures = rtsp.failures_per_address};
    s.publish = rtsp.publish.has_value();
    s.multicast = rtsp.multicast.has_value();
    return s;
}

void Rtsp::reload(const config::Rtsp& next) {
    publishers_.set_takeover(next.publish && next.publish->takeover);
    server_.replace(settings_of(next));
    drain();
}

void Rtsp::on(const rtsp::Blocked& blocked) {
    around_.log.warning("RTSP: too many wrong passwords from {}{}: nobody there is let in for {:.0f} s",
                        blocked.address.text(), blocked.address.is_v4() ? "" : "/64",
                        std::chrono::duration<double>(blocked.rest).count());
}

}  // namespace penstock
