#pragma once
// Those who watch over their RTSP connection, as control sees them: which connections the sender thread writes to, and
// what each session begins with. The thread is there from the first such viewer on.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/io/event_loop.hpp"
#include "control/io/tcp_server.hpp"
#include "control/rtsp/server.hpp"
#include "flow/diverted.hpp"
#include "sender.hpp"

namespace penstock {

class ViewersOverTcp {
public:
    ViewersOverTcp(io::EventLoop& loop, flow::TakeDiverted take) : loop_(loop), take_(std::move(take)) {}
    void on(io::TcpServer& tcp) { tcp_ = &tcp; }

    // Connections; false: it is not the sender's.
    bool send(const rtsp::Send& send);
    bool close(rtsp::ConnectionId connection);
    void disconnected(rtsp::ConnectionId connection);

    // Before the first viewer: makes the thread if it is not there yet.
    Result<void> start();

    // Sessions: prepare() first, begin() before the answer that frames shall follow, halt() before one that none shall.
    void prepare(rtsp::Interleaver::Plan plan);
    void begin(rtsp::SessionId session);
    void halt(rtsp::SessionId session);
    void leave(rtsp::SessionId session);
    // What is sent first of a track of a session that was prepared, as soon as it is known.
    std::optional<rtsp::Interleaver::First> first(rtsp::SessionId session, uint64_t feed) const;

    const rtsp::InterleaverCounters* counters() const { return sender_ ? &sender_->counters() : nullptr; }

private:
    void adopt(rtsp::ConnectionId connection);
    void listen();
    void on(const rtsp::Interleaver::First& first);
    void on(const rtsp::Interleaver::Broken& broken) { tcp_->written(broken.connection); }
    void on(const rtsp::Interleaver::Flushed& flushed) { tcp_->written(flushed.connection); }

    io::EventLoop& loop_;
    const flow::TakeDiverted take_;
    io::TcpServer* tcp_ = nullptr;
    std::set<rtsp::ConnectionId> adopted_;
    std::map<rtsp::SessionId, std::map<uint64_t, rtsp::Interleaver::First>> firsts_;  // of those that were prepared
    std::unique_ptr<Sender> sender_;
    io::EventLoop::Watch events_;
};

}  // namespace penstock
