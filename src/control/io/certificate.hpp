#pragma once
// What one end of TLS shows or trusts, of files in PEM. Immutable: sessions share it, and what comes after it is
// another.
#include <cstddef>
#include <ctime>
#include <expected>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"

struct gnutls_certificate_credentials_st;

namespace penstock::io {

class Credentials {
public:
    explicit Credentials(bool verify);
    ~Credentials();
    Credentials(const Credentials&) = delete;
    Credentials& operator=(const Credentials&) = delete;
    gnutls_certificate_credentials_st* get() const noexcept { return credentials_; }
    bool verify() const noexcept { return verify_; }

private:
    gnutls_certificate_credentials_st* credentials_ = nullptr;
    const bool verify_;
};

// A server's certificate with those that lead to its authority, and its key.
struct Certificate {
    std::shared_ptr<const Credentials> credentials;
    std::string leaf;                 // its bytes: what tells one from another
    std::time_t from = 0, until = 0;  // when all of the chain are valid
};

struct CertificateFault {
    bool in_key = false;  // else in the file of the certificate
    std::string text;
};

// Not whether it is valid now: Certificate::from and until say.
std::expected<Certificate, CertificateFault> load_certificate(const std::string& file, const std::string& key_file);
// Empty: valid at `now`; or "expired on 2026-11-30".
std::string objection_to(const Certificate& certificate, std::time_t now);
std::string date(std::time_t at);  // "2026-11-30", UTC

// A client's: it trusts servers that one of the authorities in the file vouches for; of the system's if it is empty.
Result<std::shared_ptr<const Credentials>> trusted(const std::string& file);
std::shared_ptr<const Credentials> trusting_any();  // whoever answers: nothing is verified

// The same files for many clients, each read once.
class Trusts {
public:
    Result<std::shared_ptr<const Credentials>> of(bool verify, const std::string& file);
    void forget() { known_.clear(); }  // the files may be others now

private:
    std::map<std::string, std::shared_ptr<const Credentials>> known_;
};

}  // namespace penstock::io
