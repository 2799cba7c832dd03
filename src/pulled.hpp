#pragma once
// One stream that is fetched from a camera: the protocol's client on TCP, and what it finds there made tracks of the
// model, with ports of our own for its media.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "control/cli/show_rtsp.hpp"
#include "control/config/config.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/tcp_client.hpp"
#include "control/mesh/mesh.hpp"
#include "control/rtsp/arriving.hpp"
#include "control/rtsp/port_pairs.hpp"
#include "control/rtsp/pull.hpp"
#include "dataplane/ingest.hpp"

namespace penstock {

class Pulled {
public:
    struct Surroundings {
        io::EventLoop& loop;
        Log& log;
        mesh::Mesh& mesh;
        dataplane::Ingest& ingest;
        rtsp::PortPairs& ports;
        io::Trusts& trusts;
        std::function<std::optional<std::string>(const Ip& local)> port_of;  // the port that has the address
        std::function<void()> changed;                                       // the model's streams did
    };
    // What a viewer that waits is told: 0, the stream has its tracks; or the status that refuses it.
    using Told = std::function<void(int status)>;

    Pulled(std::string stream, config::Pull config, const Surroundings& around);
    ~Pulled();

    void wait_for(Told told);
    void leave();  // TEARDOWN, and no more: the stream is gone, or another's by now
    void tick();
    // RTCP for the camera, when it sends its own to this address of ours by TCP; false: it does not.
    bool tell(const Endpoint& at, std::span<const std::byte> rtcp);
    bool gone() const noexcept { return !pull_.wanted() && pull_.idle(); }
    const config::Pull& config() const noexcept { return config_; }
    const std::string& stream() const noexcept { return stream_; }
    const rtsp::PullFacts& facts() const noexcept { return pull_.facts(); }
    const std::vector<std::string>& unmet() const noexcept { return unmet_; }  // as mesh::Stream has it

private:
    struct Waiting {
        Told told;
        Instant deadline{};
    };
    struct Track {
        size_t media = 0;  // of the description
        config::Track config;
        config::Source source{};
        // Which of these it is the second path of, a=group:DUP (RFC 7104), or the repair of, a=group:FEC-FR (RFC 5956).
        std::optional<size_t> copy_of{}, repairs{};
        std::optional<rtp::fec::Carriage> repair{};
        bool duplicated = false;                            // a=ssrc-group:DUP
        std::optional<rtsp::Place> place{};                 // in the model, once it is granted; none: it is repair
        std::optional<dataplane::IngestWay> rtp{}, rtcp{};  // interleaved
        uint8_t channel = 0;                                // of its RTCP, when it is
    };

    void drain();
    void on(const rtsp::client::Connect& connect);
    void on(const rtsp::client::Send& send) { tcp_.send(send.bytes); }
    void on(const rtsp::client::Close&) { tcp_.close(); }
    void on(const rtsp::client::Described& described);
    void on(const rtsp::client::Granted& granted);
    void on(const rtsp::client::Playing&) {}
    void on(const rtsp::client::Received& received);
    void on(const rtsp::client::Over& over);
    std::optional<uint16_t> take_port(size_t track);
    void give_ports_back();
    void find_sources(const rtsp::client::Granted& granted);
    Result<void> bring();
    void tell(int status);
    void start();
    void stop();
    bool watched() const;
    void look_for_media();
    void say_unmet();
    void latch(const mesh::Stream& stream);

    const std::string stream_;
    const config::Pull config_;
    const Surroundings& around_;
    rtsp::Pull pull_;
    io::TcpClient tcp_;
    Endpoint remote_, local_;
    std::vector<Track> tracks_;
    std::vector<uint16_t> ports_;  // by track, of one session
    Ip ports_at_;                  // whose they are
    std::vector<Waiting> waiting_;
    Instant watched_{};                    // when somebody did, last
    uint64_t packets_ = 0;                 // at the last look
    bool delivers_ = false;                // media has come since it plays
    std::vector<std::string> unmet_;       // what was said of it
    std::optional<rtsp::Failure> said_{};  // in the log, since it delivered last
    bool draining_ = false, left_ = false;
};

}  // namespace penstock
