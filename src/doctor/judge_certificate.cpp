// The certificate of RTSPS: whether it is there, for how long, and whether a reload will be able to read its key.
#include <fmt/format.h>

#include "control/io/certificate.hpp"
#include "doctor/judge.hpp"

namespace penstock::doctor {
namespace {

constexpr std::time_t kDay = 24 * 3600, kSoon = 14 * kDay;  // as the alert PenstockCertificateExpires

}  // namespace

void judge_certificate(const config::Tls& tls, const CertificateFacts& facts, Findings& out) {
    const auto add = [&](Status status, std::string found, std::string why, std::string mend) {
        out.push_back({"rtsp certificate", "", status, std::move(found), std::move(why), std::move(mend)});
    };
    if (!facts.refusal.empty())
        return add(Status::missing, facts.refusal, "players connect by TLS",
                   "set rtsp.tls.certificate and .key to files in PEM that go together, or leave rtsp.tls out");
    const std::string valid = fmt::format("{}: until {}", tls.certificate, io::date(facts.until));
    if (facts.now >= facts.until || facts.now < facts.from)
        add(Status::degraded,
            fmt::format("{}: from {} until {}", tls.certificate, io::date(facts.from), io::date(facts.until)),
            "it is not valid today: players refuse it", "put a new one in its place, then `penstock cli reload`");
    else if (facts.until - facts.now < kSoon)
        add(Status::degraded, fmt::format("{}, in {} days", valid, (facts.until - facts.now) / kDay),
            "after that players refuse it", "put a new one in its place, then `penstock cli reload`");
    else if (!facts.readable_later)
        add(Status::degraded, fmt::format("{} is read by privilege alone", tls.key),
            "it is given up when penstock has started: every reload will be refused",
            fmt::format("chown the key to the user that penstock runs as, or give its group the right to read {}",
                        tls.key));
    else
        add(Status::met, valid, "", "");
}

}  // namespace penstock::doctor
