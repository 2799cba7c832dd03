#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "control/io/certificate.hpp"
#include "doctor/read.hpp"

namespace penstock::doctor {
namespace {

// By owner, group and mode: as one that has no capabilities any more.
bool readable_by_mode(const std::string& path) {
    struct stat file {};
    if (stat(path.c_str(), &file) != 0) return false;
    if (file.st_uid == geteuid()) return (file.st_mode & S_IRUSR) != 0;
    std::array<gid_t, 1024> groups{};
    const int n = getgroups(static_cast<int>(groups.size()), groups.data());
    const auto end = groups.begin() + std::max(n, 0);
    const bool ours = file.st_gid == getegid() || std::find(groups.begin(), end, file.st_gid) != end;
    return (file.st_mode & (ours ? S_IRGRP : S_IROTH)) != 0;
}

}  // namespace

void read_certificate(const config::Tls& tls, Facts& facts) {
    CertificateFacts& found = facts.certificate;
    found.now = std::time(nullptr);
    if (const auto loaded = io::load_certificate(tls.certificate, tls.key)) {
        found.from = loaded->from;
        found.until = loaded->until;
    } else {
        found.refusal = loaded.error().text;
    }
    found.readable_later = readable_by_mode(tls.certificate) && readable_by_mode(tls.key);
}

}  // namespace penstock::doctor
