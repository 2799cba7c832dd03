#pragma once
// The files of TLS: whether they are right, and the certificate of RTSPS that comes of them, taken anew at a reload.
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "control/config/config.hpp"
#include "control/config/load.hpp"
#include "control/io/server_tls.hpp"

namespace penstock {

// What is wrong with the files that the configuration names. `now`: certificates have to be valid then, too.
std::vector<config::Problem> problems_of_files(const config::Config& config, std::optional<std::time_t> now);

class Rtsps {
public:
    static Result<std::unique_ptr<Rtsps>> open(const config::Tls& files);

    // The pair as it is now, for those who connect from now on; or nothing changes. What is in force then, in words;
    // empty: the same as before. One that is not valid now is not taken instead of another.
    Result<std::string> renew(const config::Tls& files);
    std::string text() const;  // "FILE, until 2027-11-30"
    io::ServerTls& tls() noexcept { return tls_; }
    std::string metrics() const;

private:
    Rtsps(std::string file, io::Certificate certificate) : file_(std::move(file)), tls_(std::move(certificate)) {}

    std::string file_;
    io::ServerTls tls_;
};

}  // namespace penstock
