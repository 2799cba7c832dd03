#pragma once
// Certificates for tests, made on the spot: an authority, and servers' that it vouches for.
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <array>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace penstock::test {

struct Issued {
    Issued() {
        REQUIRE(gnutls_x509_crt_init(&certificate) == 0);
        REQUIRE(gnutls_x509_privkey_init(&key) == 0);
        REQUIRE(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                             0) == 0);
    }
    ~Issued() {
        gnutls_x509_crt_deinit(certificate);
        gnutls_x509_privkey_deinit(key);
    }
    Issued(const Issued&) = delete;
    Issued& operator=(const Issued&) = delete;
    gnutls_x509_crt_t certificate = nullptr;
    gnutls_x509_privkey_t key = nullptr;
};

// A folder with authority.pem, and per issue() NAME.pem and NAME.key.
class Certificates {
public:
    Certificates() {
        std::string pattern = (std::filesystem::temp_directory_path() / "penstock-tls-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        fill(authority_, "an authority", -60, 3600);
        gnutls_x509_crt_set_ca_status(authority_.certificate, 1);
        gnutls_x509_crt_set_key_usage(authority_.certificate, GNUTLS_KEY_KEY_CERT_SIGN);
        sign_and_write(authority_, "authority");
    }
    ~Certificates() { std::filesystem::remove_all(folder_); }
    Certificates(const Certificates&) = delete;
    Certificates& operator=(const Certificates&) = delete;

    // For a DNS name or an address; valid from so many seconds from now to so many.
    void issue(const std::string& file, const std::string& server, std::time_t from = -60, std::time_t until = 3600) {
        Issued issued;
        fill(issued, server, from, until);
        if (in_addr ip{}; inet_pton(AF_INET, server.c_str(), &ip) == 1) {
            REQUIRE(gnutls_x509_crt_set_subject_alt_name(issued.certificate, GNUTLS_SAN_IPADDRESS, &ip, sizeof ip, 0) ==
                    0);
        } else {
            REQUIRE(gnutls_x509_crt_set_subject_alt_name(issued.certificate, GNUTLS_SAN_DNSNAME, server.data(),
                                                         static_cast<unsigned>(server.size()), 0) == 0);
        }
        sign_and_write(issued, file);
    }
    std::string path(const std::string& file) const { return (folder_ / file).string(); }
    void write(const std::string& file, std::string_view text) const {
        std::ofstream{folder_ / file, std::ios::binary} << text;
    }

private:
    void fill(const Issued& issued, const std::string& name, std::time_t from, std::time_t until) {
        const std::time_t now = std::time(nullptr);
        const unsigned char serial = ++serial_;
        REQUIRE(gnutls_x509_crt_set_version(issued.certificate, 3) == 0);
        REQUIRE(gnutls_x509_crt_set_serial(issued.certificate, &serial, 1) == 0);
        REQUIRE(gnutls_x509_crt_set_activation_time(issued.certificate, now + from) == 0);
        REQUIRE(gnutls_x509_crt_set_expiration_time(issued.certificate, now + until) == 0);
        REQUIRE(gnutls_x509_crt_set_dn(issued.certificate, ("CN=" + name).c_str(), nullptr) == 0);
        REQUIRE(gnutls_x509_crt_set_key(issued.certificate, issued.key) == 0);
    }
    void sign_and_write(const Issued& issued, const std::string& file) {
        REQUIRE(gnutls_x509_crt_sign2(issued.certificate, authority_.certificate, authority_.key, GNUTLS_DIG_SHA256,
                                      0) == 0);
        std::array<char, 16 * 1024> pem;
        size_t size = pem.size();
        REQUIRE(gnutls_x509_crt_export(issued.certificate, GNUTLS_X509_FMT_PEM, pem.data(), &size) == 0);
        write(file + ".pem", {pem.data(), size});
        size = pem.size();
        REQUIRE(gnutls_x509_privkey_export(issued.key, GNUTLS_X509_FMT_PEM, pem.data(), &size) == 0);
        write(file + ".key", {pem.data(), size});
    }

    std::filesystem::path folder_;
    Issued authority_;
    unsigned char serial_ = 0;
};

}  // namespace penstock::test
