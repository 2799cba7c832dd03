#include "rtsps.hpp"

#include <fmt/format.h>

#include "control/metrics/tls.hpp"

namespace penstock {

std::vector<config::Problem> problems_of_files(const config::Config& config, std::optional<std::time_t> now) {
    std::vector<config::Problem> problems;
    if (const auto& tls = config.rtsp.tls) {
        const auto certificate = io::load_certificate(tls->certificate, tls->key);
        if (!certificate)
            problems.push_back(
                {certificate.error().in_key ? tls->key_at : tls->certificate_at, certificate.error().text});
        else if (const auto objection = now ? io::objection_to(*certificate, *now) : ""; !objection.empty())
            problems.push_back({tls->certificate_at, fmt::format("{}: {}", tls->certificate, objection)});
    }
    for (const config::Stream& stream : config.streams)
        if (stream.rtsp && !stream.rtsp->tls_ca.empty())
            if (const auto trust = io::trusted(stream.rtsp->tls_ca); !trust)
                problems.push_back({stream.rtsp->tls_ca_at, trust.error().text});
    return problems;
}

Result<std::unique_ptr<Rtsps>> Rtsps::open(const config::Tls& files) {
    auto certificate = io::load_certificate(files.certificate, files.key);
    if (!certificate) return fail(fmt::format("rtsp.tls: {}", certificate.error().text));
    return std::unique_ptr<Rtsps>(new Rtsps(files.certificate, std::move(*certificate)));
}

Result<std::string> Rtsps::renew(const config::Tls& files) {
    auto certificate = io::load_certificate(files.certificate, files.key);
    if (!certificate) return fail(certificate.error().text);
    if (certificate->leaf == tls_.certificate().leaf) return std::string();
    if (const auto objection = io::objection_to(*certificate, std::time(nullptr)); !objection.empty())
        return fail(fmt::format("{}: {}", files.certificate, objection));
    file_ = files.certificate;
    tls_.show(std::move(*certificate));
    return text();
}

std::string Rtsps::text() const { return fmt::format("{}, until {}", file_, io::date(tls_.certificate().until)); }

std::string Rtsps::metrics() const { return metrics::render(tls_); }

}  // namespace penstock
