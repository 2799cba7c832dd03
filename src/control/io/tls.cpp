#include "control/io/tls.hpp"

#include <fmt/format.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/address.hpp"

namespace penstock::io {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Handshake::count_)> kNames{
    "done", "timeout", "closed", "not_tls", "version", "cipher", "refused", "untrusted", "malformed"};

// Key exchange by RSA has no forward secrecy; old cameras know nothing else.
constexpr const char* kForServers = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SERVER_PRECEDENCE";
constexpr const char* kForClients = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

constexpr std::byte kHandshakeRecord{22};  // RFC 8446 section 5.1

Handshake fault_of(int error) {
    switch (error) {
        case GNUTLS_E_PREMATURE_TERMINATION:
        case GNUTLS_E_SESSION_EOF: return Handshake::closed;
        case GNUTLS_E_UNSUPPORTED_VERSION_PACKET: return Handshake::version;
        case GNUTLS_E_NO_CIPHER_SUITES:
        case GNUTLS_E_NO_COMMON_KEY_SHARE:
        case GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM:
        case GNUTLS_E_INSUFFICIENT_CREDENTIALS: return Handshake::cipher;
        case GNUTLS_E_FATAL_ALERT_RECEIVED: return Handshake::refused;
        case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR: return Handshake::untrusted;
        default: return Handshake::malformed;
    }
}

}  // namespace

std::string_view name(Handshake handshake) { return kNames[static_cast<size_t>(handshake)]; }

Tls::Tls(std::shared_ptr<const Credentials> shown) : credentials_(std::move(shown)), server_(true) {
    open(GNUTLS_SERVER, kForServers);
}

Tls::Tls(std::shared_ptr<const Credentials> trusted, std::string server)
    : credentials_(std::move(trusted)), name_(std::move(server)), server_(false) {
    open(GNUTLS_CLIENT | GNUTLS_NO_TICKETS, kForClients);
    // An address is no name of a server (RFC 6066 section 3); the certificate may have it all the same.
    if (!Ip::parse(name_)) gnutls_server_name_set(session_, GNUTLS_NAME_DNS, name_.data(), name_.size());
    if (credentials_->verify()) gnutls_session_set_verify_cert(session_, name_.c_str(), 0);
}

Tls::~Tls() { gnutls_deinit(session_); }

void Tls::open(unsigned flags, const char* priorities) {
    if (gnutls_init(&session_, flags | GNUTLS_NONBLOCK) < 0 ||
        gnutls_priority_set_direct(session_, priorities, nullptr) < 0 ||
        gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_->get()) < 0)
        throw std::bad_alloc();  // nothing else can be wrong with constants
    gnutls_handshake_set_max_packet_length(session_, kMostHandshake);
    gnutls_transport_set_ptr(session_, this);
    gnutls_transport_set_pull_function(session_, pull);
    gnutls_transport_set_vec_push_function(session_, push);
    gnutls_transport_set_pull_timeout_function(session_, [](void* self, unsigned) {
        const Tls& tls = *static_cast<Tls*>(self);
        return tls.taken_ < tls.in_.size() ? 1 : 0;
    });
}

ssize_t Tls::pull(void* self, void* into, size_t size) {
    Tls& tls = *static_cast<Tls*>(self);
    const size_t n = std::min(size, tls.in_.size() - tls.taken_);
    if (n == 0) {
        gnutls_transport_set_errno(tls.session_, EAGAIN);
        return -1;
    }
    tls.in_.copy(static_cast<char*>(into), n, tls.taken_);
    tls.taken_ += n;
    return static_cast<ssize_t>(n);
}

ssize_t Tls::push(void* self, const iovec* parts, int count) {
    std::string& out = static_cast<Tls*>(self)->out_;
    const size_t before = out.size();
    for (int i = 0; i < count; i++) out.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    return static_cast<ssize_t>(out.size() - before);
}

void Tls::receive(std::span<const std::byte> bytes) {
    in_.erase(0, taken_);
    taken_ = 0;
    in_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (done_ || bytes.empty()) return;
    if (server_ && heard_ == 0 && bytes[0] != kHandshakeRecord)
        return give_up(Handshake::not_tls, "it speaks something else than TLS");
    heard_ += bytes.size();
    if (heard_ > kMostHandshake) give_up(Handshake::malformed, "its handshake does not end");
}

void Tls::give_up(Handshake fault, std::string why) {
    broken_ = true;
    fault_ = fault;
    why_ = std::move(why);
}

bool Tls::more() const { return !broken_ && (taken_ < in_.size() || gnutls_record_check_pending(session_) != 0); }

ssize_t Tls::read(std::span<std::byte> into) {
    if (broken_) return -EPROTO;
    if (const ssize_t shaken = done_ ? 0 : shake_hands(); shaken < 0) return shaken;
    for (;;) {
        const ssize_t n = gnutls_record_recv(session_, into.data(), into.size());
        if (n >= 0) return n;
        if (n == GNUTLS_E_PREMATURE_TERMINATION) return 0;
        if (n == GNUTLS_E_AGAIN) return -EAGAIN;
        // A client of 1.2 that wants another handshake is let go: it is an old way to make servers compute.
        if (gnutls_error_is_fatal(static_cast<int>(n)) != 0 || n == GNUTLS_E_REHANDSHAKE)
            return broken(static_cast<int>(n));
    }
}

ssize_t Tls::shake_hands() {
    for (;;) {
        const int error = gnutls_handshake(session_);
        if (error == GNUTLS_E_SUCCESS) {
            done_ = true;
            return 0;
        }
        if (error == GNUTLS_E_AGAIN) return -EAGAIN;
        if (gnutls_error_is_fatal(error) != 0) return broken(error);
    }
}

ssize_t Tls::broken(int error) {
    give_up(fault_of(error), gnutls_strerror(error));
    if (error == GNUTLS_E_FATAL_ALERT_RECEIVED)
        why_ = fmt::format("it says: {}", gnutls_alert_get_name(gnutls_alert_get(session_)));
    if (error == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
        gnutls_datum_t words{};
        if (gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(session_),
                                                         GNUTLS_CRT_X509, &words, 0) == 0) {
            why_.assign(reinterpret_cast<const char*>(words.data), words.size);
            while (why_.ends_with('\0') || why_.ends_with(' ')) why_.pop_back();
            gnutls_free(words.data);
        }
    }
    if (error == GNUTLS_E_REHANDSHAKE)
        gnutls_alert_send(session_, GNUTLS_AL_FATAL, GNUTLS_A_NO_RENEGOTIATION);
    else if (error != GNUTLS_E_FATAL_ALERT_RECEIVED)
        gnutls_alert_send_appropriate(session_, error);
    return -EPROTO;
}

size_t Tls::write(std::span<const std::byte> bytes) {
    if (!done_ || broken_) return 0;
    const ssize_t n = gnutls_record_send(session_, bytes.data(), std::min(bytes.size(), kLargestRecord));
    return n > 0 ? static_cast<size_t>(n) : 0;
}

void Tls::bye() {
    if (done_ && !broken_) gnutls_bye(session_, GNUTLS_SHUT_WR);
}

}  // namespace penstock::io
