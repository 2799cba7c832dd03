#include "control/io/certificate.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include "control/io/fd.hpp"

namespace penstock::io {
namespace {

constexpr size_t kLargestFile = size_t{1} << 20;

Result<std::string> contents(const std::string& path) {
    const auto wrong = [&](const char* why) { return fail(fmt::format("{}: cannot be read: {}", path, why)); };
    const Fd fd{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!fd) return wrong(std::strerror(errno));
    std::string text;
    std::array<char, 16 * 1024> buffer;
    for (;;) {
        const ssize_t size = read(fd.get(), buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return wrong(std::strerror(errno));
        if (size == 0) return text;
        text.append(buffer.data(), static_cast<size_t>(size));
        if (text.size() > kLargestFile) return wrong("it is larger than 1 MiB");
    }
}

gnutls_datum_t datum(const std::string& text) {
    return {reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())), static_cast<unsigned>(text.size())};
}

struct Chain {
    ~Chain() {
        for (unsigned i = 0; i < size; i++) gnutls_x509_crt_deinit(list[i]);
        gnutls_free(list);
    }
    gnutls_x509_crt_t* list = nullptr;
    unsigned size = 0;
};

struct Key {
    Key() {
        if (gnutls_x509_privkey_init(&key) < 0) throw std::bad_alloc();
    }
    ~Key() { gnutls_x509_privkey_deinit(key); }
    gnutls_x509_privkey_t key = nullptr;
};

}  // namespace

Credentials::Credentials(bool verify) : verify_(verify) {
    if (gnutls_certificate_allocate_credentials(&credentials_) < 0) throw std::bad_alloc();
}
Credentials::~Credentials() { gnutls_certificate_free_credentials(credentials_); }

std::expected<Certificate, CertificateFault> load_certificate(const std::string& file, const std::string& key_file) {
    const auto wrong = [](bool in_key, std::string text) {
        return std::unexpected(CertificateFault{in_key, std::move(text)});
    };
    const auto text = contents(file), key_text = contents(key_file);
    if (!text) return wrong(false, text.error().text);
    if (!key_text) return wrong(true, key_text.error().text);
    Chain chain;
    const auto pem = datum(*text), key_pem = datum(*key_text);
    if (const int error = gnutls_x509_crt_list_import2(&chain.list, &chain.size, &pem, GNUTLS_X509_FMT_PEM,
                                                       GNUTLS_X509_CRT_LIST_SORT);
        error < 0)
        return wrong(false, fmt::format("{}: holds no certificate in PEM: {}", file, gnutls_strerror(error)));
    Key key;
    if (const int error = gnutls_x509_privkey_import2(key.key, &key_pem, GNUTLS_X509_FMT_PEM, nullptr, 0); error < 0)
        return wrong(true, error == GNUTLS_E_DECRYPTION_FAILED
                               ? fmt::format("{}: is encrypted; take the password off it", key_file)
                               : fmt::format("{}: holds no key in PEM: {}", key_file, gnutls_strerror(error)));
    Certificate certificate;
    const auto credentials = std::make_shared<Credentials>(false);
    if (const int error =
            gnutls_certificate_set_x509_key(credentials->get(), chain.list, static_cast<int>(chain.size), key.key);
        error < 0)
        return wrong(true, error == GNUTLS_E_CERTIFICATE_KEY_MISMATCH
                               ? fmt::format("{}: is not the key of the certificate in {}", key_file, file)
                               : fmt::format("{}: {}", key_file, gnutls_strerror(error)));
    certificate.credentials = credentials;
    certificate.until = std::numeric_limits<std::time_t>::max();
    for (unsigned i = 0; i < chain.size; i++) {
        certificate.from = std::max(certificate.from, gnutls_x509_crt_get_activation_time(chain.list[i]));
        certificate.until = std::min(certificate.until, gnutls_x509_crt_get_expiration_time(chain.list[i]));
    }
    gnutls_datum_t leaf{};
    if (gnutls_x509_crt_export2(chain.list[0], GNUTLS_X509_FMT_DER, &leaf) == 0) {
        certificate.leaf.assign(reinterpret_cast<const char*>(leaf.data), leaf.size);
        gnutls_free(leaf.data);
    }
    return certificate;
}

std::string date(std::time_t at) {
    std::tm parts{};
    gmtime_r(&at, &parts);
    std::array<char, 32> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts)};
}

std::string objection_to(const Certificate& certificate, std::time_t now) {
    if (now >= certificate.until) return fmt::format("expired on {}", date(certificate.until));
    if (now < certificate.from) return fmt::format("is not valid before {}", date(certificate.from));
    return {};
}

Result<std::shared_ptr<const Credentials>> trusted(const std::string& file) {
    auto credentials = std::make_shared<Credentials>(true);
    if (file.empty()) {
        if (gnutls_certificate_set_x509_system_trust(credentials->get()) <= 0)
            return fail("this system has no certificate authorities: install ca-certificates, or name a file");
        return credentials;
    }
    const auto text = contents(file);
    if (!text) return fail(text.error().text);
    const auto pem = datum(*text);
    if (gnutls_certificate_set_x509_trust_mem(credentials->get(), &pem, GNUTLS_X509_FMT_PEM) <= 0)
        return fail(fmt::format("{}: holds no certificate in PEM", file));
    return credentials;
}

std::shared_ptr<const Credentials> trusting_any() { return std::make_shared<Credentials>(false); }

Result<std::shared_ptr<const Credentials>> Trusts::of(bool verify, const std::string& file) {
    if (!verify) return trusting_any();
    if (const auto known = known_.find(file); known != known_.end()) return known->second;
    auto fresh = trusted(file);
    if (fresh) known_[file] = *fresh;
    return fresh;
}

}  // namespace penstock::io
