#pragma once
// Tunnels on a virtual clock: what comes out of them is kept, by connection.
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/rtsp/tunnel.hpp"

namespace penstock::test {

class TunnelStage {
public:
    rtsp::Tunnels tunnels{"test"};
    Instant now{};
    std::map<rtsp::ConnectionId, std::string> rtsp, said;  // for the server, and to the client
    std::vector<rtsp::ConnectionId> closed;
    std::set<rtsp::ConnectionId> joined;

    void connect(rtsp::ConnectionId id, std::string_view from = "10.0.1.20") {
        tunnels.connected(now, id, *Ip::parse(from));
    }
    void say(rtsp::ConnectionId id, std::string_view text) {
        tunnels.receive(now, id, std::as_bytes(std::span(text)));
        drain();
    }
    void say_in_pieces(rtsp::ConnectionId id, std::string_view text, size_t size) {
        for (size_t at = 0; at < text.size(); at += size) say(id, text.substr(at, size));
    }
    void disconnect(rtsp::ConnectionId id) {
        tunnels.disconnected(now, id);
        drain();
    }
    void pass(Duration time) {
        now += time;
        tunnels.expire(now);
        drain();
    }

private:
    void drain() {
        while (auto output = tunnels.poll()) std::visit([this](auto& o) { on(o); }, *output);
    }
    void on(const rtsp::Send& send) { said[send.to] += send.bytes; }
    void on(const rtsp::Close& close) { closed.push_back(close.connection); }
    void on(const rtsp::Tunnels::Bytes& bytes) {
        rtsp[bytes.connection].append(reinterpret_cast<const char*>(bytes.bytes.data()), bytes.bytes.size());
    }
    void on(const rtsp::Tunnels::Joined& j) { joined.insert(j.connection); }
};

}  // namespace penstock::test
