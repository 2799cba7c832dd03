#pragma once
// The configuration as values: what the YAML of config/penstock.yaml means after it was read and checked.
// One type per setting; defaults here are the defaults of the contract.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/boxed.hpp"
#include "base/log.hpp"
#include "control/config/location.hpp"
#include "flow/port.hpp"
#include "rtp/fec/repair.hpp"
#include "rtp/fec/st2022.hpp"
#include "rtp/rtx.hpp"

namespace penstock::config {

// Where in the file a value stands; both count from 1. {0, 0}: nowhere (a default).
// Two settings are the same wherever they stand: a mark compares equal to any other.
struct Mark {
    int line = 0;
    int column = 0;
    bool operator==(const Mark&) const noexcept { return true; }
};

struct LogSettings {
    Level level = Level::info;
    LogFormat format = LogFormat::text;
    bool operator==(const LogSettings&) const = default;
};

enum class Idle : uint8_t { poll, sleep };

struct Workers {
    std::optional<std::vector<unsigned>> cores;  // absent: auto, the cpuset less one core for control
    Idle idle = Idle::sleep;
    bool operator==(const Workers&) const = default;
};

enum class Hugepages : uint8_t { automatic, on, off };

struct Memory {
    Hugepages hugepages = Hugepages::automatic;
    static constexpr unsigned kLeast = 1024, kMost = 16'777'216, kUsual = 32'768;
    std::optional<unsigned> mbufs{};  // packet buffers, shared by all ports; absent: see packet_buffers()
    bool operator==(const Memory&) const = default;
};

struct Control {
    std::string socket = "/run/penstock/cli.sock";  // what `penstock cli` connects to
    bool operator==(const Control&) const = default;
};

struct Metrics {
    std::optional<Endpoint> listen = Endpoint::parse("127.0.0.1:9464");  // absent: "off"
    bool operator==(const Metrics&) const = default;
};

struct Media {
    uint16_t first_port = 20000;
    uint16_t last_port = 29999;  // inclusive
    bool operator==(const Media&) const = default;
};

using flow::Driver;
enum class XdpMode : uint8_t { automatic, native, generic };
enum class ZeroCopy : uint8_t { automatic, on, off };
enum class Segmentation : uint8_t { automatic, on, off };

struct Port {
    std::string name;
    Driver driver = Driver::null;
    Mark at;
    unsigned queues = 1;                       // rx queues; each is polled by one worker
    std::string interface;                     // af_xdp, af_packet: the netdev; tap: the netdev to make
    std::string device;                        // pci: "0000:3b:02.1"
    std::string socket;                        // vhost: path of the vhost-user socket, made by penstock
    std::string read;                          // pcap: the file to replay
    std::string write;                         // pcap: the file to write
    XdpMode mode = XdpMode::automatic;         // af_xdp
    ZeroCopy zero_copy = ZeroCopy::automatic;  // af_xdp
    std::optional<std::string>
        twin;                       // the TAP netdev made as kernel twin: pci, vhost, tap, ring. pci has one by default
    std::vector<Prefix> addresses;  // ports without a kernel twin: our own addresses with their networks
    std::optional<Mac> peer_mac;    // ports without a kernel twin: where unicast legs are sent [broadcast]
    bool force = false;             // pci, af_xdp: take the interface even if the node's default route leaves by it
    Segmentation segmentation = Segmentation::automatic;  // af_xdp
    bool operator==(const Port&) const = default;
};

// Where repair goes or comes from, beside the media. `port`: beyond that of the media, round the end if it is below; 0:
// the same. Of ST 2022-1 that of columns, with rows further on.
struct SourceFec {
    rtp::fec::Carriage carriage{};
    uint16_t port = rtp::fec::kColumnPort;
    uint16_t rows = rtp::fec::kRowPort;  // of ST 2022-1; 0: none come, or by the same port
    bool operator==(const SourceFec&) const = default;
};
struct OutputFec {
    rtp::fec::Code code{};
    uint16_t port = rtp::fec::kColumnPort;
    bool retransmission = false;  // FlexFEC: what the receiver asks for again goes as repair, too
    bool operator==(const OutputFec&) const = default;
};

// Packets that did not arrive are asked of the source again (RFC 4585).
struct Nack {
    std::chrono::milliseconds wait{10};       // for what is only reordered, comes by the other path or is repaired
    std::chrono::milliseconds deadline{200};  // then it is given up
    uint32_t budget = 500;                    // packets asked for a second
    std::optional<uint8_t> rtx;  // the payload type in which the source answers (RFC 4588); absent: as it was
    bool operator==(const Nack&) const = default;
};

// RTCP of the receivers of a track's outputs is taken.
struct Feedback {
    uint32_t retransmit = 512;  // packets that are kept to be sent again; 0: none
    uint32_t budget = 500;      // packets sent again to one receiver a second
    bool operator==(const Feedback&) const = default;
};

using PortName = Boxed<std::string>;  // of one of the ports; absent: any

struct Source {
    Endpoint rtp;       // where the packets are addressed to; RTCP is expected on the next port, or muxed
    uint16_t vlan = 0;  // 802.1Q VLAN id 1-4094; 0: untagged
    Mark at;
    std::optional<Ip> from;     // `from` or, for SSM, `source`: accept this sender only
    bool ssm = false;           // `source` was given: the group is joined for this sender only (RFC 4607)
    bool tells_sender = false;  // of a protocol that wants to know who sent the first packet
    PortName port{};            // accept on this port only; multicast: join on this port
    // Of two sources of a track at one address (RFC 7198): the SSRC of its packets; kOtherSsrc: whatever is not of the
    // other source; absent: as kOtherSsrc, where the other source has one.
    std::optional<uint32_t> ssrc{};
    Boxed<SourceFec> fec{};  // repair packets come with it
    Boxed<Nack> nack{};      // what does not come is asked for again
    bool operator==(const Source&) const = default;
};
inline constexpr uint32_t kOtherSsrc = 0;
// Whether their packets cannot be told apart but by SSRC.
inline bool share_address(const Source& a, const Source& b) {
    return a.rtp == b.rtp && a.vlan == b.vlan && a.port == b.port && a.from == b.from;
}

struct Output {
    Endpoint rtp;       // RTCP goes to the next port unless rtcp_mux
    uint16_t vlan = 0;  // 802.1Q VLAN id 1-4094; 0: untagged
    Mark at;
    std::optional<uint8_t> ttl;   // absent: kept from the arriving packet
    std::optional<uint8_t> dscp;  // absent: kept from the arriving packet
    PortName port{};              // absent: by the kernel's routes
    Boxed<OutputFec> fec{};       // repair packets go with it
    Boxed<rtp::RtxStream> rtx{};  // what is sent again goes in such a stream; SSRC 0: one is made
    std::chrono::milliseconds duplicate_after{
        0};  // RFC 7198: each packet is sent once more, so much later; 0: it is not
    // The two outputs of a track that have the same number here are the legs of one live-live output; 0: it is none.
    uint16_t live_live = 0;
    bool rtcp_mux = false;  // RFC 5761: RTCP to the RTP port
    bool operator==(const Output&) const = default;
};

// The UDP ports of a source or an output beyond that of RTP: RTCP, repair.
inline constexpr uint16_t kRtcpPort = 1;
inline std::vector<uint16_t> repair_ports(const Source& source) {
    if (!source.fec || source.fec->port == 0) return {};
    if (source.fec->carriage.scheme != rtp::fec::Scheme::st2022_1 || source.fec->rows == 0) return {source.fec->port};
    return {source.fec->port, source.fec->rows};
}
inline std::vector<uint16_t> repair_ports(const Output& output) {
    if (!output.fec || output.fec->port == 0) return {};
    const auto& code = output.fec->code;
    if (code.carriage.scheme != rtp::fec::Scheme::st2022_1 || !code.matrix.row_repair) return {output.fec->port};
    return {rtp::fec::kColumnPort, rtp::fec::kRowPort};
}
template <class Entry>
std::vector<uint16_t> further_ports(const Entry& entry) {
    std::vector<uint16_t> ports = repair_ports(entry);
    bool mux = false;
    if constexpr (requires { entry.rtcp_mux; }) mux = entry.rtcp_mux;
    if (!mux) ports.insert(ports.begin(), kRtcpPort);
    return ports;
}

// How far two paths may be apart, by the classes of SMPTE ST 2022-7.
inline constexpr std::chrono::microseconds kClassA{10'000}, kClassB{50'000}, kClassC{450'000}, kClassD{150};

struct Track {
    // Repair is computed once for all outputs with the same settings; what it is computed with is memory of the track.
    static constexpr size_t kMaxCodes = 8;

    std::string media;                    // "video", "audio", "application"
    std::optional<uint8_t> payload_type;  // absent: any
    std::string encoding;                 // "H264/90000", as in SDP's a=rtpmap
    uint32_t clock_rate = 90000;          // Hz, from the encoding
    std::string fmtp;                     // "packetization-mode=1", as in SDP's a=fmtp: what viewers are told
    bool takes_fir = false;               // its source said in SDP that it takes FIR for a key frame, and not PLI
    Mark at;
    std::vector<Source> sources;               // one, or two for live-live
    std::chrono::microseconds skew = kClassC;  // of two sources: how far they may be apart
    std::chrono::milliseconds delay{0};        // that a packet may wait for those before it; 0: none does
    std::vector<Output> outputs;
    Boxed<Feedback> feedback{};
    bool operator==(const Track&) const = default;
};

// Whose packets are a camera's: of the sender that it announces; of whoever sends the first one; of anybody.
enum class From : uint8_t { announced, first, any };

enum class Reach : uint8_t { automatic, udp, tcp, multicast };  // automatic: UDP, and TCP where that does not arrive

// A stream that is fetched from a camera.
struct Pull {
    Location location;
    Reach reach = Reach::automatic;
    bool on_demand = false;           // only while somebody watches
    std::chrono::seconds linger{10};  // on_demand: it goes on for so long after the last one
    std::chrono::seconds wait{5};     // how long a viewer waits for the camera
    From from = From::announced;
    bool tls_verify = true;  // rtsps: only a server whose certificate holds
    std::string tls_ca{};    // rtsps: of whose authorities; empty: those of the system
    Mark tls_ca_at{};
    bool operator==(const Pull&) const = default;
};

struct Stream {
    std::string name;
    Mark at;
    std::vector<Track> tracks;
    // A camera brings the tracks: those above have no sources then, and say what is wanted of them (planned.hpp).
    Boxed<Pull> rtsp{};
    bool operator==(const Stream&) const = default;
};

struct User {
    std::string name;
    std::string password;      // empty: its hashes are given instead
    std::string md5, sha_256;  // of name:realm:password, in lower hexadecimal digits; either may be empty
    bool operator==(const User&) const = default;
};

// The first rule that fits a request decides; where none does, it is refused.
struct Rule {
    enum class Who : uint8_t { anyone, known, named };  // known: each of the users
    bool allow = true;
    bool play = false, publish = false;  // what it is about
    Who who = Who::anyone;
    std::vector<std::string> users{};    // named
    std::vector<std::string> streams{};  // patterns with * and ?; none: all
    std::vector<Prefix> from{};          // none: from everywhere
    bool operator==(const Rule&) const = default;
};

struct Access {
    std::string realm = "penstock";
    bool digest = true, basic = false;  // how a password may be given
    std::vector<User> users;
    std::optional<std::vector<Rule>> rules;  // absent: users may do all, and without users everybody
    bool operator==(const Access&) const = default;
};

struct Publish {
    bool takeover = false;  // whether a second publisher takes a stream from the first
    bool operator==(const Publish&) const = default;
};

// Players that ask for multicast share a leg a track, to a group of its own.
struct Multicast {
    Prefix groups;                    // of which they are given
    uint8_t ttl = 16;                 // or hop limit
    std::optional<std::string> port;  // to leave by; absent: there is one only
    bool operator==(const Multicast&) const = default;
};

struct Tls {  // of a server
    std::vector<Endpoint> listen;
    std::string certificate, key;  // files in PEM
    Mark certificate_at, key_at;
    bool operator==(const Tls&) const = default;
};

struct Rtsp {
    std::vector<Endpoint> listen;  // none, and no TLS either: RTSP is off
    std::optional<Tls> tls;        // RTSPS
    bool on() const noexcept { return !listen.empty() || tls; }
    std::chrono::seconds session_timeout{60};
    size_t connections_per_address = 128;
    size_t sessions_per_address = 256;
    unsigned requests_per_address = 200;  // a second
    size_t streams_per_address = 16;      // that are published from there
    unsigned failures_per_address = 10;   // wrong passwords a minute
    std::optional<Publish> publish;       // absent: nobody may
    std::optional<Multicast> multicast;   // absent: nobody gets it
    Access access;                        // who may do what
    size_t late_join = size_t{4} << 20;   // bytes of a track of video that are kept to begin with; 0: off
    bool operator==(const Rtsp&) const = default;
};

// `running` with what of `next` is taken over while it runs (Rtsp::reload); the rest waits for the next start.
Rtsp taken_over(Rtsp running, const Rtsp& next);

struct Config {
    std::string node;  // default: the host name, given by the loader's caller
    LogSettings log;
    Workers workers;
    Memory memory;
    Control control;
    Metrics metrics;
    Media media;
    Rtsp rtsp;
    std::vector<Port> ports;
    std::vector<Stream> streams;
};

// What memory.mbufs asks for or, if it does not, what arrives and leaves takes and what the streams keep.
unsigned packet_buffers(const Config& config);

}  // namespace penstock::config
