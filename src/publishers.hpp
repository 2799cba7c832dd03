#pragma once
// Those who push: what an RTSP session announces becomes tracks of the model, and its media finds its way into the
// data plane, by UDP to a pair of ports of our own or through the control thread's hands when it is interleaved.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/cli/show_rtsp.hpp"
#include "control/mesh/mesh.hpp"
#include "control/rtsp/server.hpp"
#include "dataplane/ingest.hpp"
#include "peer_log.hpp"

namespace penstock {

class Publishers {
public:
    struct Surroundings {
        PeerLog& log;
        mesh::Mesh& mesh;
        dataplane::Ingest& ingest;
        std::function<std::optional<uint16_t>(const Ip& local)> take_port;  // the even one of a free pair
        std::function<void(uint16_t)> give_back;
        std::function<void()> changed;  // the model's streams did
        bool takeover = false;          // whether a second publisher takes a stream from the first
    };
    explicit Publishers(Surroundings around) : around_(std::move(around)) {}
    void set_takeover(bool takeover) { around_.takeover = takeover; }

    rtsp::Answer admit(const rtsp::Admit& admit) const;
    rtsp::Answer receive(const rtsp::Receive& receive);
    struct Recorded {
        rtsp::Answer answer;
        std::optional<rtsp::SessionId> before;  // who had the stream until now, and must go
    };
    Recorded record(rtsp::SessionId session);
    void take(const rtsp::Media& media);
    // What the publisher whose RTCP goes to this address of ours is told, on the channel of its connection.
    std::optional<rtsp::Send> tell(const Endpoint& at, std::span<const std::byte> rtcp) const;
    bool end(const rtsp::End& end);  // whether the session was one of these

    std::vector<rtsp::SessionId> heard();      // whose media came since the last call
    std::vector<rtsp::SessionId> displaced();  // whose stream was deleted, or is the file's by now
    std::vector<cli::RtspSession::Track> tracks(rtsp::SessionId session) const;

private:
    struct Track {
        size_t order = 0;  // among those that were announced
        std::string name;
        config::Track config;
        std::optional<size_t> copy_of, repairs;  // the order of the one whose second path, or repair, it is
        std::optional<rtp::fec::Carriage> repair;
        bool duplicated = false;
        Endpoint publisher;
        std::optional<uint8_t> channel{};  // interleaved: of its RTCP, on
        rtsp::ConnectionId connection = 0;
        std::optional<dataplane::IngestWay> rtp{}, rtcp{};  // interleaved, once it is recorded
        std::shared_ptr<flow::PathState> state{};           // once it is recorded; of repair there is none
        uint64_t heard = 0;                                 // packets at the last look

        const Endpoint& at() const { return config.sources.front().rtp; }
        uint64_t packets() const;  // RTP and RTCP that came
    };
    struct Session {
        std::string stream;
        std::vector<Track> tracks;  // in their order
    };

    const std::vector<config::Output>* outputs(const std::string& stream, const std::string& track) const;
    std::optional<std::string> objection(const std::string& stream) const;

    Surroundings around_;
    std::map<rtsp::SessionId, Session> sessions_;
    std::map<std::string, rtsp::SessionId> streams_;  // those that are recorded
};

}  // namespace penstock
