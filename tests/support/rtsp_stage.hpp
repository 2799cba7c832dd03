#pragma once
// An RTSP server on a virtual clock with one stream, "cam", and random numbers that are none: what it asks is answered
// at once, what it says is kept.
#include <string>
#include <vector>

#include "control/rtsp/server.hpp"

namespace penstock::test {

class RtspStage {
public:
    explicit RtspStage(rtsp::ServerSettings settings = {})
        : server(with_names(std::move(settings)), [this] { return ++random_; }) {}

    static rtsp::ServerSettings with_publishers() {  // and all else that can be asked for
        rtsp::ServerSettings s;
        s.publish = true;
        s.multicast = true;
        return s;
    }

    rtsp::Server server;
    Instant now{};
    std::string said;  // to all connections
    std::vector<rtsp::ConnectionId> closed;
    std::vector<std::string> done;  // "setup 1 video 5000", "play 1", "end 1 teardown" ...
    bool answer_play = true, answer_describe = true;
    std::vector<rtsp::Ticket> described;  // and not answered
    rtsp::Ticket unanswered = 0;

    bool connect(rtsp::ConnectionId id, std::string_view from = "10.0.1.20") {
        return server.connected(now, id, {{*Ip::parse(from), 40000}, {*Ip::parse("10.0.1.1"), 554}});
    }
    void say(rtsp::ConnectionId id, std::string_view text) {
        server.receive(now, id, std::as_bytes(std::span(text)));
        drain();
    }
    // One request, and the status of what comes of it.
    int ask(rtsp::ConnectionId id, std::string text) {
        if (const size_t at = text.find("SESSION"); at != std::string::npos) text.replace(at, 7, token());
        const size_t before = said.size();
        say(id, text);
        return said.size() < before + 12 ? 0 : std::stoi(said.substr(before + 9, 3));
    }
    std::string token() const {
        const size_t at = said.rfind("Session: ");
        return at == std::string::npos ? "none" : said.substr(at + 9, 32);
    }
    void pass(Duration time) {
        now += time;
        server.expire(now);
        drain();
    }
    void drain() {
        while (auto output = server.poll()) std::visit([this](auto& o) { on(o); }, *output);
    }

private:
    static rtsp::ServerSettings with_names(rtsp::ServerSettings s) {
        s.software = "test";
        s.access.realm = "node";
        return s;
    }
    void on(const rtsp::Send& send) { said += send.bytes; }
    void on(const rtsp::Close& close) { closed.push_back(close.connection); }
    void on(const rtsp::Blocked& b) { done.push_back("blocked " + b.address.text()); }
    void on(const rtsp::Describe& d) {
        if (!answer_describe) {
            described.push_back(d.ticket);
            return;
        }
        server.answer(now, d.ticket, d.stream == "cam" ? rtsp::Answer{rtsp::Described{"v=0\r\n"}} : rtsp::Refusal{404});
    }
    void on(const rtsp::Setup& s) {
        const std::string track = s.track.empty() ? "video" : s.track;
        if (s.stream != "cam" || (track != "video" && track != "audio"))
            return server.answer(now, s.ticket, rtsp::Refusal{404});
        rtsp::Transport granted;
        granted.profile = s.wanted.profile;
        granted.lower = s.wanted.lower;
        if (s.wanted.multicast) {
            done.push_back("share " + std::to_string(s.session) + " " + track);
            granted.multicast = true;
            granted.destination = "239.10.0.1";
            granted.source = s.local.text();
            granted.port = rtsp::Pair{20002, 20003};
            granted.ttl = 16;
            return server.answer(now, s.ticket, rtsp::Granted{track, granted});
        }
        done.push_back("setup " + std::to_string(s.session) + " " + track + " " +
                       std::to_string(s.wanted.interleaved ? s.wanted.interleaved->rtp : s.wanted.client_port->rtp));
        granted.client_port = s.wanted.client_port;
        granted.interleaved = s.wanted.interleaved;
        if (s.wanted.lower == rtsp::Lower::udp) {
            granted.server_port = rtsp::Pair{20000, 20001};
            granted.source = s.local.text();
        }
        granted.ssrc = 0xabcd;
        server.answer(now, s.ticket, rtsp::Granted{track, granted});
    }
    void on(const rtsp::Play& p) {
        done.push_back("play " + std::to_string(p.session));
        unanswered = p.ticket;
        if (answer_play) server.answer(now, p.ticket, rtsp::Playing{{{"video", 7, 90000}}});
    }
    void on(const rtsp::Admit& a) {
        server.answer(
            now, a.ticket,
            a.stream == "taken" ? rtsp::Answer{rtsp::Refusal{403, "it is published already"}} : rtsp::Admitted{});
    }
    void on(const rtsp::Receive& r) {
        done.push_back("receive " + std::to_string(r.session) + " " + r.stream + " " + r.track.name);
        rtsp::Transport granted = r.wanted;
        if (r.wanted.lower == rtsp::Lower::udp) granted.server_port = rtsp::Pair{20000, 20001};
        granted.mode = "RECORD";
        server.answer(now, r.ticket, rtsp::Granted{r.track.name, granted});
    }
    void on(const rtsp::Record& r) {
        done.push_back("record " + std::to_string(r.session));
        server.answer(now, r.ticket, rtsp::Recording{});
    }
    void on(const rtsp::Media& m) {
        done.push_back("media " + std::to_string(m.session) + " " + m.track + (m.rtcp ? " rtcp " : " rtp ") +
                       std::string(reinterpret_cast<const char*>(m.bytes.data()), m.bytes.size()));
    }
    void on(const rtsp::Feedback& f) {
        done.push_back("feedback " + std::to_string(f.session) + " " + f.track + " " +
                       std::string(reinterpret_cast<const char*>(f.bytes.data()), f.bytes.size()));
    }
    void on(const rtsp::Pause& p) { done.push_back("pause " + std::to_string(p.session)); }
    void on(const rtsp::Leave& l) { done.push_back("leave " + std::to_string(l.session) + " " + l.track); }
    void on(const rtsp::End& e) {
        done.push_back("end " + std::to_string(e.session.id) + " " + std::string(name(e.reason)));
    }

    uint64_t random_ = 0;
};

}  // namespace penstock::test
