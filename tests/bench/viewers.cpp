// bench-viewers: one process that plays many RTSP viewers of a stream at once and counts what each one gets: packets,
// those that are missing by their sequence numbers, and over TCP whether frames stay frames. It knows no server: with
// its figures one is compared with another. It sets up the tracks that the description names, plays, waits until all
// play, says "counting N" on stderr, and then counts for the time given.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr size_t kMostTracks = 4;
constexpr double kPatience = 30;  // seconds to set all of them up

struct Options {
    sockaddr_in server{};
    std::string url;
    int number = 1;
    bool leave = false;  // over UDP the connection ends once the viewer plays
    int at_once = 32;    // viewers that are being set up at a time
    double seconds = 5;
    bool tcp = true;
    size_t tracks = kMostTracks;
};

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

double now(clockid_t clock = CLOCK_MONOTONIC) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

std::string_view value_of(std::string_view head, std::string_view name) {
    for (size_t at = 0; at < head.size();) {
        const size_t end = std::min(head.find("\r\n", at), head.size());
        const std::string_view line = head.substr(at, end - at);
        if (line.size() > name.size() && line[name.size()] == ':' &&
            strncasecmp(line.data(), name.data(), name.size()) == 0) {
            const size_t from = line.find_first_not_of(' ', name.size() + 1);
            return from == std::string_view::npos ? "" : line.substr(from);
        }
        at = end + 2;
    }
    return {};
}

struct Track {
    std::string url;
    bool begun = false;
    uint16_t last = 0;
};

struct Counts {
    uint64_t packets = 0, lost = 0, bytes = 0;
};

enum class Step : uint8_t { connecting, describing, setting_up, starting, playing, failed };

class Viewer;

struct Socket {  // what epoll tells of: the connection, or the RTP port of a track
    Viewer* of = nullptr;
    int track = -1;
    int fd = -1;
};

class Viewer {
public:
    Viewer(const Options& options, int epoll) : options_(options), epoll_(epoll) {
        tcp_.of = this;
        tcp_.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (tcp_.fd < 0) die("socket");
        const int one = 1;
        setsockopt(tcp_.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(tcp_, EPOLLIN | EPOLLOUT);
        if (connect(tcp_.fd, reinterpret_cast<const sockaddr*>(&options.server), sizeof options.server) != 0 &&
            errno != EINPROGRESS)
            fail("connect");
    }
    ~Viewer() {
        if (tcp_.fd >= 0) close(tcp_.fd);
        for (const Socket& s : udp_)
            if (s.fd >= 0) close(s.fd);
        for (const int fd : rtcp_) close(fd);
    }
    Viewer(const Viewer&) = delete;
    Viewer& operator=(const Viewer&) = delete;

    void on(const Socket& from, uint32_t events, std::vector<std::byte>& room) {
        if (step_ == Step::failed) return;
        if (from.track >= 0) return take_datagrams(from, room);
        if (step_ == Step::connecting && (events & EPOLLOUT) != 0) {
            epoll_event e{.events = EPOLLIN, .data = {.ptr = &tcp_}};
            epoll_ctl(epoll_, EPOLL_CTL_MOD, tcp_.fd, &e);
            step_ = Step::describing;
            ask("DESCRIBE", options_.url, "Accept: application/sdp\r\n");
        }
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
        const ssize_t n = recv(tcp_.fd, room.data(), room.size(), 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return fail("the server closed the connection");
        take({reinterpret_cast<const char*>(room.data()), static_cast<size_t>(n)});
    }

    Step step() const { return step_; }
    const char* why() const { return why_; }
    bool torn() const { return torn_; }
    void count_from_here() { counts = {}; }
    Counts counts;

private:
    void watch(Socket& s, uint32_t events) {
        epoll_event e{.events = events, .data = {.ptr = &s}};
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, s.fd, &e) != 0) die("epoll_ctl");
    }
    void fail(const char* why) {
        step_ = Step::failed;
        why_ = why;
        epoll_ctl(epoll_, EPOLL_CTL_DEL, tcp_.fd, nullptr);
    }
    void ask(const char* method, const std::string& url, const std::string& headers) {
        const std::string text = std::string(method) + " " + url + " RTSP/1.0\r\nCSeq: " + std::to_string(++sequence_) +
                                 "\r\n" + (session_.empty() ? "" : "Session: " + session_ + "\r\n") + headers + "\r\n";
        if (send(tcp_.fd, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) fail("send");
    }

    // Answers and frames, in any pieces. Of a frame the first 16 bytes are looked at, the rest is passed over.
    void take(std::string_view bytes) {
        while (!bytes.empty() && step_ != Step::failed) {
            if (skip_ != 0) {
                const size_t n = std::min(skip_, bytes.size());
                skip_ -= n;
                bytes.remove_prefix(n);
                continue;
            }
            if (words_.empty() && head_size_ == 0 && bytes[0] != '$' && bytes[0] != 'R') {
                torn_ = true;
                return fail("neither a frame nor an answer");
            }
            if (head_size_ != 0 || (words_.empty() && bytes[0] == '$')) {
                const size_t n = std::min(head_.size() - head_size_, bytes.size());
                std::memcpy(&head_[head_size_], bytes.data(), n);
                const size_t before = head_size_;
                head_size_ += n;
                if (head_size_ < 4) return;
                const size_t whole = 4 + (size_t{head_[2]} << 8 | head_[3]);
                if (head_size_ < std::min(whole, head_.size())) return;
                const size_t of_frame = std::min(head_size_, whole);
                bytes.remove_prefix(of_frame - before);
                skip_ = whole - of_frame;
                head_size_ = 0;
                if (whole >= head_.size() && head_[1] % 2 == 0) packet(head_[1] / 2u, &head_[4], whole - 4);
                continue;
            }
            const size_t before = words_.size();
            words_ += bytes;
            const size_t end = words_.find("\r\n\r\n");
            if (end == std::string::npos) return;
            const std::string_view length = value_of(words_, "Content-Length");
            size_t body = 0;
            std::from_chars(length.data(), length.data() + length.size(), body);
            if (words_.size() < end + 4 + body) return;
            bytes.remove_prefix(end + 4 + body - before);
            const std::string head = words_.substr(0, end), text = words_.substr(end + 4, body);
            words_.clear();
            answered(head, text);
        }
    }

    void answered(const std::string& head, const std::string& body) {
        if (head.find(" 200 ") != 8) return fail("refused");
        if (step_ == Step::describing) {
            std::string base(value_of(head, "Content-Base"));
            if (base.empty()) base = options_.url + "/";
            bool of_track = false;
            for (size_t at = 0; at < body.size(); at = std::min(body.find('\n', at), body.size()) + 1) {
                std::string_view line(&body[at], std::min(body.find('\n', at), body.size()) - at);
                while (line.ends_with('\r')) line.remove_suffix(1);
                if (line.starts_with("m=")) of_track = true;
                if (!of_track || !line.starts_with("a=control:") || tracks_.size() == options_.tracks) continue;
                line.remove_prefix(10);
                tracks_.emplace_back().url = line.starts_with("rtsp:") ? std::string(line) : base + std::string(line);
            }
            if (tracks_.empty()) return fail("no tracks");
            step_ = Step::setting_up;
            return set_up();
        }
        if (step_ == Step::setting_up) {
            session_ = value_of(head, "Session");
            session_.resize(std::min(session_.find(';'), session_.size()));
            if (++done_ < tracks_.size()) return set_up();
            step_ = Step::starting;
            return ask("PLAY", options_.url + (options_.url.ends_with('/') ? "" : "/"), "Range: npt=0.000-\r\n");
        }
        if (step_ != Step::starting) return;
        step_ = Step::playing;
        if (options_.leave && !options_.tcp) close(std::exchange(tcp_.fd, -1));
    }

    void set_up() {
        std::string transport = "Transport: RTP/AVP";
        if (options_.tcp) {
            transport += "/TCP;unicast;interleaved=" + std::to_string(2 * done_) + "-" + std::to_string(2 * done_ + 1);
        } else {
            const int port = pair();
            transport += ";unicast;client_port=" + std::to_string(port) + "-" + std::to_string(port + 1);
        }
        ask("SETUP", tracks_[done_].url, transport + "\r\n");
    }

    // Two UDP sockets on an even port and the next one.
    int pair() {
        static int next = 30000;
        for (; next < 60000; next += 2) {
            std::array<int, 2> fds{};
            bool bound = true;
            for (int port = next; int& fd : fds) {
                const sockaddr_in a{AF_INET, htons(static_cast<uint16_t>(port++)), {}, {}};
                fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                if (fd < 0) die("socket");
                bound &= bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
            }
            if (!bound) {
                close(fds[0]);
                close(fds[1]);
                continue;
            }
            Socket& rtp = udp_[done_];
            rtp = {this, static_cast<int>(done_), fds[0]};
            watch(rtp, EPOLLIN);
            rtcp_.push_back(fds[1]);
            next += 2;
            return next - 2;
        }
        die("no ports left");
    }

    void take_datagrams(const Socket& from, std::vector<std::byte>& room) {
        for (int i = 0; i < 64; i++) {
            const ssize_t n = recv(from.fd, room.data(), room.size(), 0);
            if (n < 0) return;
            if (n >= 12)
                packet(static_cast<size_t>(from.track), reinterpret_cast<const uint8_t*>(room.data()),
                       static_cast<size_t>(n));
        }
    }

    void packet(size_t track, const uint8_t* rtp, size_t size) {
        counts.packets++;
        counts.bytes += size;
        if (track >= tracks_.size()) return;
        Track& t = tracks_[track];
        const auto number = static_cast<uint16_t>(rtp[2] << 8 | rtp[3]);
        const auto missing = static_cast<uint16_t>(number - t.last - 1);
        if (t.begun && missing < 0x8000) counts.lost += missing;
        t.begun = true;
        t.last = number;
    }

    const Options& options_;
    const int epoll_;
    Socket tcp_;
    std::array<Socket, kMostTracks> udp_{};
    std::vector<int> rtcp_;  // open, that no port is unreachable
    Step step_ = Step::connecting;
    const char* why_ = "";
    bool torn_ = false;
    int sequence_ = 0;
    std::string session_;
    std::string words_;  // of an answer that is not complete
    std::array<uint8_t, 16> head_{};
    size_t head_size_ = 0;
    size_t skip_ = 0;
    std::vector<Track> tracks_;
    size_t done_ = 0;  // tracks that are set up
};

Options options_of(int count, char** words) {
    std::map<std::string, std::string> given{{"number", "1"},      {"at-once", "32"}, {"seconds", "5"},
                                             {"transport", "tcp"}, {"tracks", "4"},   {"leave", "no"}};
    for (int i = 1; i + 1 < count; i += 2)
        given[std::string_view(words[i]).starts_with("--") ? words[i] + 2 : words[i]] = words[i + 1];
    if (count % 2 == 0 || !given.contains("server") || !given.contains("stream")) {
        std::fputs(
            "bench-viewers --server ADDRESS:PORT --stream PATH [--number N] [--transport udp|tcp] [--seconds S] "
            "[--tracks N] [--at-once N] [--leave yes|no]\n",
            stderr);
        std::exit(2);
    }
    Options o;
    const std::string& server = given["server"];
    const size_t colon = server.find(':');
    o.server.sin_family = AF_INET;
    o.server.sin_port = htons(static_cast<uint16_t>(std::atoi(server.substr(colon + 1).c_str())));
    if (colon == std::string::npos || inet_pton(AF_INET, server.substr(0, colon).c_str(), &o.server.sin_addr) != 1)
        die("--server");
    o.url = "rtsp://" + server + "/" + given["stream"];
    o.number = std::atoi(given["number"].c_str());
    o.leave = given["leave"] == "yes";
    o.at_once = std::max(1, std::atoi(given["at-once"].c_str()));
    o.seconds = std::atof(given["seconds"].c_str());
    o.tcp = given["transport"] == "tcp";
    o.tracks = std::clamp<size_t>(static_cast<size_t>(std::atoi(given["tracks"].c_str())), 1, kMostTracks);
    return o;
}

}  // namespace

int main(int count, char** words) {
    const Options options = options_of(count, words);
    rlimit files{1 << 16, 1 << 16};
    setrlimit(RLIMIT_NOFILE, &files);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::vector<std::byte> room(256 * 1024);
    std::vector<std::unique_ptr<Viewer>> viewers;
    std::array<epoll_event, 256> events;
    const auto turn = [&](int milliseconds) {
        const int n = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), milliseconds);
        for (int i = 0; i < n; i++) {
            const auto* from = static_cast<const Socket*>(events[static_cast<size_t>(i)].data.ptr);
            from->of->on(*from, events[static_cast<size_t>(i)].events, room);
        }
    };
    const auto in = [&](Step step) {
        return static_cast<int>(std::ranges::count(viewers, step, [](const auto& v) { return v->step(); }));
    };

    const double start = now();
    int settled = 0;
    while (settled < options.number && now() < start + kPatience) {
        settled = in(Step::playing) + in(Step::failed);
        while (static_cast<int>(viewers.size()) < std::min(options.number, settled + options.at_once))
            viewers.push_back(std::make_unique<Viewer>(options, epoll));
        turn(10);
    }
    const double set_up = now() - start;
    const int playing = in(Step::playing);
    const double settle = now() + 1;  // what came to begin with is not of the rate
    while (now() < settle) turn(10);
    for (const auto& v : viewers) v->count_from_here();
    std::fprintf(stderr, "counting %d\n", playing);  // who measures the server begins now
    const double from = now(), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    while (now() < from + options.seconds) turn(10);
    const double took = now() - from, used = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;

    Counts all;
    int torn = 0;
    uint64_t least = UINT64_MAX, most = 0;
    std::map<std::string, int> failures;
    for (const auto& v : viewers) {
        torn += v->torn() ? 1 : 0;
        if (v->step() == Step::failed) failures[v->why()]++;
        if (v->step() != Step::playing) continue;
        all.packets += v->counts.packets;
        all.lost += v->counts.lost;
        all.bytes += v->counts.bytes;
        least = std::min(least, v->counts.packets);
        most = std::max(most, v->counts.packets);
    }
    std::string why;
    for (const auto& [reason, number] : failures)
        why += (why.empty() ? "" : ", ") + std::string("\"") + reason + "\": " + std::to_string(number);
    std::printf(
        "{\"transport\": \"%s\", \"viewers\": %d, \"played\": %d, \"playing\": %d, \"failures\": {%s}, "
        "\"setup_seconds\": %.3f, \"sessions_per_second\": %.0f, \"seconds\": %.3f, \"packets\": %llu, "
        "\"lost\": %llu, \"torn\": %d, \"packets_min\": %llu, \"packets_max\": %llu, "
        "\"mbit_per_second\": %.1f, \"cpu_seconds\": %.3f}\n",
        options.tcp ? "tcp" : "udp", options.number, playing, in(Step::playing), why.c_str(), set_up, playing / set_up,
        took, static_cast<unsigned long long>(all.packets), static_cast<unsigned long long>(all.lost), torn,
        static_cast<unsigned long long>(least == UINT64_MAX ? 0 : least), static_cast<unsigned long long>(most),
        static_cast<double>(all.bytes) * 8e-6 / took, used);
    return in(Step::playing) == options.number ? 0 : 1;
}
