// The control side of a capture: the rings that are drained, and the file that comes of it.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "control/capture/pcapng.hpp"
#include "control/capture/report.hpp"
#include "control/capture/writer.hpp"
#include "support/bytes.hpp"

using namespace penstock;
using namespace penstock::capture;
using namespace penstock::test;
using What = flow::CaptureFilter::What;

namespace {

struct Directory {
    Directory() {
        std::string name = (std::filesystem::temp_directory_path() / "penstock-capture-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string file(const char* name = "x.pcapng") const { return (path / name).string(); }
    std::filesystem::path path;
};

template <class Condition>
bool until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return condition();
}

Bytes file_content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const auto bytes = std::as_bytes(std::span{text});
    return {bytes.begin(), bytes.end()};
}

// A reader of pcapng that shares nothing with the writer.
uint32_t word(std::span<const std::byte> from, size_t at) {
    REQUIRE(at + 4 <= from.size());
    return std::to_integer<uint32_t>(from[at]) | std::to_integer<uint32_t>(from[at + 1]) << 8 |
           std::to_integer<uint32_t>(from[at + 2]) << 16 | std::to_integer<uint32_t>(from[at + 3]) << 24;
}
struct Block {
    uint32_t type = 0;
    Bytes body;
    std::map<unsigned, std::string> options;
};
std::vector<Block> blocks_of(std::span<const std::byte> file) {
    std::vector<Block> all;
    while (!file.empty()) {
        Block block;
        block.type = word(file, 0);
        const uint32_t length = word(file, 4);
        REQUIRE(length % 4 == 0);
        REQUIRE(length <= file.size());
        REQUIRE(word(file, length - 4) == length);
        block.body.assign(file.begin() + 8, file.begin() + length - 4);
        size_t at = block.type == 6 ? 20 + (word(block.body, 12) + 3) / 4 * 4 : block.type == 1 ? 8 : 16;
        for (;;) {
            const uint32_t head = word(block.body, at);
            at += 4;
            if (head == 0) break;
            const size_t size = head >> 16;
            const auto* text = reinterpret_cast<const char*>(block.body.data()) + at;
            block.options[head & 0xffff] = std::string(text, size);
            at += (size + 3) / 4 * 4;
        }
        REQUIRE(at == block.body.size());
        all.push_back(std::move(block));
        file = file.subspan(length);
    }
    return all;
}

struct Rings {
    explicit Rings(size_t workers = 1, size_t size = 64) {
        for (size_t w = 0; w < workers; w++)
            taps.push_back(
                std::make_shared<flow::CaptureTap>(std::make_shared<flow::CaptureFilter>(), 1'000'000, size));
    }
    bool put(uint64_t time, std::span<const std::byte> frame, size_t worker = 0, uint32_t subject = 0,
             uint8_t drop = flow::kDrops) {
        taps[worker]->begin(time);
        taps[worker]->arriving_by(1);
        auto* record = taps[worker]->open(subject);
        if (record == nullptr) return false;
        record->drop = drop;
        record->original = static_cast<uint32_t>(frame.size());
        record->append(frame);
        taps[worker]->ring().commit();
        return true;
    }
    Plan plan(const std::string& file, uint64_t count) const {
        return {.number = 1,
                .what = "stream cam",
                .file = file,
                .count = count,
                .rate = 1,
                .application = "penstock test",
                .interfaces = {{"lan", "net_a"}, {"wan", "net_b"}},
                .labels = {"stream cam, track video, path 1"},
                .taps = taps,
                .anchor = uint64_t{100} << 32,
                .anchor_unix = 1'700'000'000'000'000'000};
    }
    std::vector<std::shared_ptr<flow::CaptureTap>> taps;
};

constexpr uint64_t kSecond = uint64_t{1} << 32;

}  // namespace

TEST_CASE("pcapng blocks are what the draft says", "[capture]") {
    pcapng::Buffer out;
    pcapng::append_section(out, "penstock 1");
    pcapng::append_interface(out, "lan", "net_af_xdp", 2024);
    const Bytes frame = numbered(61);
    const std::string comment = "stream cam, worker 0";
    pcapng::append_packet(out, {.interface = 3,
                                .nanoseconds = 0x1122'3344'5566'7788,
                                .original = 1400,
                                .outbound = true,
                                .comment = comment,
                                .bytes = frame});
    pcapng::append_packet(out, {.interface = 0, .nanoseconds = 1, .original = 0, .comment = {}, .bytes = {}});
    const auto blocks = blocks_of(out);
    REQUIRE(blocks.size() == 4);
    CHECK(blocks[0].type == 0x0a0d0d0a);
    CHECK(word(blocks[0].body, 0) == 0x1a2b3c4d);
    CHECK(word(blocks[0].body, 4) == 1);  // version 1.0
    CHECK(word(blocks[0].body, 8) == 0xffffffff);
    CHECK(blocks[0].options.at(4) == "penstock 1");
    CHECK(blocks[1].type == 1);
    CHECK(word(blocks[1].body, 0) == 1);  // Ethernet
    CHECK(word(blocks[1].body, 4) == 2024);
    CHECK(blocks[1].options.at(2) == "lan");
    CHECK(blocks[1].options.at(3) == "net_af_xdp");
    CHECK(blocks[1].options.at(9) == "\x09");
    CHECK(blocks[2].type == 6);
    CHECK(word(blocks[2].body, 0) == 3);
    CHECK(word(blocks[2].body, 4) == 0x11223344);
    CHECK(word(blocks[2].body, 8) == 0x55667788);
    CHECK(word(blocks[2].body, 12) == 61);
    CHECK(word(blocks[2].body, 16) == 1400);
    CHECK(std::equal(frame.begin(), frame.end(), blocks[2].body.begin() + 20));
    CHECK(blocks[2].options.at(1) == comment);
    CHECK(blocks[2].options.at(2)[0] == 2);  // outbound
    CHECK(blocks[3].options.at(2)[0] == 1);
    CHECK_FALSE(blocks[3].options.contains(1));
}

TEST_CASE("a capture is written to its count, in order of time, with who and why", "[capture]") {
    const Directory directory;
    Rings rings(2);
    const Bytes frame = numbered(100);
    REQUIRE(rings.put(101 * kSecond, frame, 1));
    REQUIRE(rings.put(100 * kSecond + kSecond / 2, frame, 0));
    REQUIRE(rings.put(99 * kSecond, frame, 0, flow::CaptureFilter::kNobody, static_cast<uint8_t>(flow::Drop::no_flow)));
    REQUIRE(rings.put(103 * kSecond, frame, 1));
    Writer writer(rings.plan(directory.file(), 3));
    REQUIRE(until([&] { return !writer.progress().running; }));
    const Progress end = writer.progress();
    CHECK_FALSE(end.failed);
    CHECK(end.ending == "count reached");
    CHECK(end.packets == 3);
    CHECK(end.bytes == std::filesystem::file_size(directory.file()));
    struct stat made {};
    REQUIRE(stat(directory.file().c_str(), &made) == 0);
    CHECK((made.st_mode & 07777) == 0600);
    const auto blocks = blocks_of(file_content(directory.file()));
    REQUIRE(blocks.size() == 6);
    const auto time = [&](size_t i) { return uint64_t{word(blocks[i].body, 4)} << 32 | word(blocks[i].body, 8); };
    CHECK(blocks[3].options.at(1) == "stream cam, track video, path 1, worker 0");
    CHECK(time(3) == 1'700'000'000'500'000'000);
    CHECK(blocks[4].options.at(1) == "no stream, worker 0, dropped: no_flow");
    CHECK(time(4) == 1'699'999'999'000'000'000);
    CHECK(blocks[5].options.at(1) == "stream cam, track video, path 1, worker 1");
    CHECK_FALSE(rings.put(104 * kSecond, frame));  // enough
    const auto report = show(writer.plan(), end);
    CHECK_THAT(report.text(), Catch::Contains("reached") && Catch::Contains("stream"));
    CHECK_THAT(report.json(), Catch::Contains("\"packets\":3") && Catch::Contains("\"failed\":false"));
    CHECK_THAT(show_none().text(), Catch::Contains("(none)"));
}

TEST_CASE("a capture that is stopped has all that was in the rings", "[capture]") {
    const Directory directory;
    Rings rings(1, 4096);
    Writer writer(rings.plan(directory.file(), 1'000'000));
    REQUIRE(until([&] { return writer.progress().packets == 0 && std::filesystem::exists(directory.file()); }));
    for (int i = 0; i < 3000; i++) REQUIRE(rings.put(101 * kSecond + static_cast<uint64_t>(i), numbered(1500)));
    writer.stop();
    REQUIRE(until([&] { return !writer.progress().running; }));
    CHECK(writer.progress().packets == 3000);
    CHECK(writer.progress().ending == "stopped");
    CHECK(blocks_of(file_content(directory.file())).size() == 3003);
}

TEST_CASE("what cannot be written is said, and ends the capture", "[capture]") {
    const Directory directory;
    Rings rings;
    const auto ending = [&](const std::string& file) {
        Writer writer(rings.plan(file, 5));
        REQUIRE(until([&] { return !writer.progress().running; }));
        CHECK(writer.progress().failed);
        CHECK_FALSE(rings.put(101 * kSecond, numbered(10)));  // workers copy no more
        return writer.progress().ending;
    };
    std::ofstream(directory.file("there")) << "precious";
    CHECK_THAT(ending(directory.file("there")), Catch::Contains("is there already: name another file"));
    CHECK(file_content(directory.file("there")).size() == 8);
    // Neither a link nor what it points to, there or not; no pipe, no device, no directory.
    std::filesystem::create_symlink(directory.file("there"), directory.file("link"));
    std::filesystem::create_symlink(directory.file("nowhere"), directory.file("dangling"));
    REQUIRE(mkfifo(directory.file("pipe").c_str(), 0600) == 0);
    for (const std::string& file : {directory.file("link"), directory.file("dangling"), directory.file("pipe"),
                                    std::string("/dev/null"), directory.path.string()})
        CHECK_THAT(ending(file), Catch::Contains("is there already"));
    CHECK_FALSE(std::filesystem::exists(directory.file("nowhere")));
    CHECK_THAT(ending(directory.file("no/such/directory")), Catch::Contains("No such file or directory"));
}

TEST_CASE("a full disk ends the capture at a whole packet", "[capture]") {
    const Directory directory;
    Rings rings(1, 4096);
    // A file size limit is a full disk of one's own: the write is short, then fails.
    constexpr size_t kRoom = 100'000;
    for (int i = 0; i < 200; i++) REQUIRE(rings.put(101 * kSecond, numbered(1500)));
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    const rlimit little{kRoom, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &little);
    Writer writer(rings.plan(directory.file(), 200));
    const bool ended = until([&] { return !writer.progress().running; });
    setrlimit(RLIMIT_FSIZE, &old);
    REQUIRE(ended);
    const Progress end = writer.progress();
    CHECK(end.failed);
    CHECK_THAT(end.ending, Catch::Contains(directory.file()) && Catch::Contains("File too large"));
    const auto content = file_content(directory.file());
    CHECK(content.size() <= kRoom);
    CHECK(content.size() > kRoom - 1600);
    CHECK(end.bytes == content.size());
    CHECK(blocks_of(content).size() == end.packets + 3);
    CHECK(end.packets > 50);
}

TEST_CASE("a disk that hangs holds nobody up", "[capture]") {
    // A pipe that nobody reads: write() never comes back.
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    Rings rings(1, 256);
    auto writer = std::make_unique<Writer>(rings.plan("pipe", 1'000'000),
                                           [&](const std::string&) -> Result<int> { return ends[1]; });
    while (rings.put(101 * kSecond, numbered(1500))) {  // until pipe and ring are full
        until([&] { return rings.taps[0]->ring().front() == nullptr || writer->progress().packets > 0; });
    }
    CHECK(rings.taps[0]->missed_by_ring() >= 1);
    const auto asked = std::chrono::steady_clock::now();
    writer->stop();
    CHECK(writer->progress().running);
    CHECK(writer->progress().ending == "stopping");
    writer.reset();
    CHECK(std::chrono::steady_clock::now() - asked < std::chrono::seconds(15));
    // The thread lives on with what it uses, and ends when the disk does answer.
    const std::weak_ptr<flow::CaptureTap> tap = rings.taps[0];
    rings.taps.clear();
    CHECK_FALSE(tap.expired());
    std::array<char, 65536> sink;
    while (read(ends[0], sink.data(), sink.size()) > 0) {
    }
    CHECK(until([&] { return tap.expired(); }));
    close(ends[0]);
}

TEST_CASE("a capture ring between two threads", "[capture][race]") {
    flow::CaptureRing ring(16);
    constexpr uint64_t kRecords = 20'000;
    std::atomic<bool> failed{false};
    std::thread worker([&] {
        for (uint64_t next = 0; next < kRecords && !failed;) {
            const uint64_t batch = 1 + next % 5;
            for (uint64_t i = 0; i < batch && next < kRecords; i++) {
                flow::CaptureRecord* record = ring.open();
                if (record == nullptr) break;
                record->time = next;
                record->size = 0;
                record->append(numbered(8 + next % 40, static_cast<unsigned>(next)));
                next++;
            }
            ring.commit();
        }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(50);
    uint64_t seen = 0, torn = 0;
    while (seen < kRecords && !failed) {
        const flow::CaptureRecord* record = ring.front();
        if (record == nullptr) {
            failed = std::chrono::steady_clock::now() > deadline;
            std::this_thread::yield();
            continue;
        }
        const Bytes expected = numbered(8 + seen % 40, static_cast<unsigned>(seen));
        torn += record->time != seen || !std::ranges::equal(record->frame(), expected);
        ring.pop();
        seen++;
    }
    worker.join();
    CHECK(torn == 0);
    CHECK(seen == kRecords);
}
