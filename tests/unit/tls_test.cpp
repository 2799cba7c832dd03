// TLS without sockets: both ends of it, whatever pieces their bytes come in; and the files that they are made of.
#include "control/io/tls.hpp"

#include <cerrno>
#include <cstring>

#include "support/certificates.hpp"

using namespace penstock;
using namespace penstock::io;
using penstock::test::Certificates;

namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span{text}); }

std::shared_ptr<const Credentials> shown(const Certificates& files, const std::string& name) {
    const auto loaded = load_certificate(files.path(name + ".pem"), files.path(name + ".key"));
    REQUIRE(loaded.has_value());
    return loaded->credentials;
}

std::shared_ptr<const Credentials> trust(const Certificates& files, const std::string& authority = "authority.pem") {
    auto loaded = trusted(files.path(authority));
    REQUIRE(loaded.has_value());
    return *loaded;
}

// Reads all there is. The last answer of read() is in `end`.
struct Reader {
    std::string got;
    ssize_t end = 0;
    void read(Tls& from) {
        std::array<std::byte, 500> buffer;  // smaller than a record
        while ((end = from.read(buffer)) > 0)
            got.append(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(end));
    }
};

struct Pair {
    Pair(std::shared_ptr<const Credentials> theirs, std::shared_ptr<const Credentials> ours, std::string name)
        : server(std::move(theirs)), client(std::move(ours), std::move(name)) {
        at_client.read(client);
    }
    void carry(Tls& from, Tls& to, Reader& reader, size_t piece) {
        const std::string all = std::exchange(from.out(), {});
        for (size_t at = 0; at < all.size(); at += piece) {
            to.receive(bytes(std::string_view{all}.substr(at, piece)));
            reader.read(to);
        }
    }
    void settle(size_t piece) {
        while (!client.out().empty() || !server.out().empty()) {
            carry(client, server, at_server, piece);
            carry(server, client, at_client, piece);
        }
    }
    Tls server, client;
    Reader at_server, at_client;
};

}  // namespace

TEST_CASE("TLS: any pieces of the handshake and of what is said give the same") {
    Certificates files;
    files.issue("node", "node.example");
    const auto piece = GENERATE(size_t{1}, size_t{7}, size_t{1000}, SIZE_MAX / 2);
    Pair pair(shown(files, "node"), trust(files), "node.example");
    pair.settle(piece);
    REQUIRE(pair.server.done());
    REQUIRE(pair.client.done());
    std::string said;
    for (int i = 0; i < 3000; i++) said += std::to_string(i) + ' ';
    for (auto* from : {&pair.server, &pair.client})
        for (auto rest = bytes(said); !rest.empty();)
            rest = rest.subspan(from->write(rest.first(std::min<size_t>(rest.size(), 999))));
    CHECK(pair.server.write(std::vector<std::byte>(100'000)) == Tls::kLargestRecord);
    pair.settle(piece);
    CHECK(pair.at_server.got == said);
    CHECK(pair.at_client.got == said + std::string(Tls::kLargestRecord, '\0'));
    CHECK(pair.at_server.end == -EAGAIN);
    CHECK_FALSE(pair.server.more());
    pair.client.bye();
    pair.settle(piece);
    CHECK(pair.at_server.end == 0);
}

TEST_CASE("TLS: what came behind the handshake in one piece is not lost, and more() tells of it") {
    Certificates files;
    files.issue("node", "node.example");
    Pair pair(shown(files, "node"), trust(files), "node.example");
    pair.carry(pair.client, pair.server, pair.at_server, SIZE_MAX / 2);
    pair.carry(pair.server, pair.client, pair.at_client, SIZE_MAX / 2);
    REQUIRE(pair.client.done());
    REQUIRE(pair.client.write(bytes("OPTIONS")) == 7);
    REQUIRE(pair.client.write(bytes(" *")) == 2);
    pair.server.receive(bytes(std::exchange(pair.client.out(), {})));
    std::array<std::byte, 4> buffer;
    CHECK(pair.server.read(buffer) == 4);
    CHECK(pair.server.more());
    pair.at_server.read(pair.server);
    CHECK(pair.at_server.got == "ONS *");
    CHECK_FALSE(pair.server.more());
}

TEST_CASE("TLS: a server that is not trusted is left, for a reason, and it learns of it") {
    Certificates files, others;
    files.issue("node", "node.example");
    files.issue("address", "10.0.0.7");
    files.issue("old", "node.example", -7200, -3600);
    struct Case {
        std::string shown, name, why;  // no reason: it is trusted
        bool other_authority = false, any = false;
    };
    const auto c = GENERATE(
        Case{"node", "node.example", ""}, Case{"address", "10.0.0.7", ""}, Case{"node", "cam.example", "name"},
        Case{"node", "10.0.0.7", "name"}, Case{"address", "10.0.0.8", "name"}, Case{"old", "node.example", "expired"},
        Case{"node", "node.example", "NOT trusted", true}, Case{"old", "cam.example", "", true, true});
    INFO(c.shown << " " << c.name);
    Pair pair(shown(files, c.shown), c.any ? trusting_any() : trust(c.other_authority ? others : files), c.name);
    pair.settle(100);
    CHECK(pair.client.done() == c.why.empty());
    CHECK(pair.server.done() == c.why.empty());
    if (c.why.empty()) return;
    CHECK(pair.at_client.end == -EPROTO);
    CHECK(pair.client.fault() == Handshake::untrusted);
    CHECK(pair.client.why().find(c.why) != std::string::npos);
    CHECK(pair.server.fault() == Handshake::refused);
    CHECK(pair.client.write(bytes("x")) == 0);
}

TEST_CASE("TLS: what is no TLS is told, and nothing is answered") {
    Certificates files;
    files.issue("node", "node.example");
    const std::string said =
        GENERATE("OPTIONS * RTSP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x80\x2e\x01\x03\x01", "$");
    Tls server(shown(files, "node"));
    Reader reader;
    server.receive(bytes(said));
    reader.read(server);
    CHECK(reader.end == -EPROTO);
    CHECK(server.fault() == Handshake::not_tls);
    CHECK(server.out().empty());
    CHECK_FALSE(server.more());
}

TEST_CASE("TLS: garbage within it ends it, before the handshake is done and after") {
    Certificates files;
    files.issue("node", "node.example");
    Pair pair(shown(files, "node"), trust(files), "node.example");
    const bool later = GENERATE(false, true);
    if (later) {
        pair.settle(10'000);
        REQUIRE(pair.server.done());
    }
    const std::string garbage = later ? std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x')
                                      : std::string("\x16\x03\x01\x40\x00", 5) + std::string(16384, '\1');
    // Before, it is a ClientHello of 65 KB, which grows and grows.
    for (size_t said = 0; pair.at_server.end != -EPROTO && said <= Tls::kMostHandshake; said += garbage.size()) {
        pair.server.receive(bytes(garbage));
        pair.at_server.read(pair.server);
    }
    CHECK(pair.at_server.end == -EPROTO);
    CHECK(pair.server.out().empty() == !later);  // an alert
    CHECK(pair.server.write(bytes("x")) == 0);
    CHECK_FALSE(pair.server.more());
    if (!later) CHECK(pair.server.fault() == Handshake::malformed);
}

TEST_CASE("a certificate: what is wrong with its files") {
    Certificates files;
    files.issue("one", "one.example");
    files.issue("two", "two.example");
    files.issue("old", "one.example", -7200, -3600);
    files.issue("early", "one.example", 3600, 7200);
    files.write("empty.pem", "");
    files.write("words.pem", "-----BEGIN CERTIFICATE-----\nwords\n-----END CERTIFICATE-----\n");
    const auto text = [&](const std::string& certificate, const std::string& key, bool in_key) {
        const auto loaded = load_certificate(files.path(certificate), files.path(key));
        REQUIRE_FALSE(loaded.has_value());
        CHECK(loaded.error().in_key == in_key);
        return loaded.error().text;
    };
    CHECK(text("none.pem", "one.key", false) == files.path("none.pem") + ": cannot be read: No such file or directory");
    CHECK(text("one.pem", "none.key", true) == files.path("none.key") + ": cannot be read: No such file or directory");
    CHECK(text(".", "one.key", false).find("Is a directory") != std::string::npos);
    CHECK(text("empty.pem", "one.key", false).find("holds no certificate in PEM") != std::string::npos);
    CHECK(text("words.pem", "one.key", false).find("holds no certificate in PEM") != std::string::npos);
    CHECK(text("one.key", "one.key", false).find("holds no certificate in PEM") != std::string::npos);
    CHECK(text("one.pem", "one.pem", true).find("holds no key in PEM") != std::string::npos);
    CHECK(text("one.pem", "two.key", true) ==
          files.path("two.key") + ": is not the key of the certificate in " + files.path("one.pem"));
    const std::time_t now = std::time(nullptr);
    const auto objection = [&](const std::string& name) {
        return objection_to(*load_certificate(files.path(name + ".pem"), files.path(name + ".key")), now);
    };
    CHECK(objection("one").empty());
    CHECK(objection("old") == "expired on " + date(now - 3600));
    CHECK(objection("early") == "is not valid before " + date(now + 3600));
    CHECK(date(0) == "1970-01-01");
    CHECK_FALSE(trusted(files.path("none.pem")).has_value());
    CHECK(trusted(files.path("empty.pem")).error().text == files.path("empty.pem") + ": holds no certificate in PEM");
}

TEST_CASE("a certificate: a chain is shown whole, and counts until the first of it expires") {
    Certificates files;
    files.issue("node", "node.example", -60, 7200);
    std::string chain;
    for (const char* part : {"node.pem", "authority.pem"}) {
        std::ifstream in{files.path(part)};
        chain.append(std::istreambuf_iterator<char>{in}, {});
    }
    files.write("chain.pem", chain);
    const auto loaded = load_certificate(files.path("chain.pem"), files.path("node.key"));
    REQUIRE(loaded.has_value());
    CHECK(loaded->until < std::time(nullptr) + 3700);  // the authority's
    CHECK(loaded->leaf == load_certificate(files.path("node.pem"), files.path("node.key"))->leaf);
}
