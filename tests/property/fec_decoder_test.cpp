// The decoder, by every scheme, against a model that peels sets of numbers. Every recovered packet is compared byte by
// byte.
#include "rtp/fec/decoder.hpp"

#include <catch2/catch.hpp>

#include "support/fec.hpp"

using namespace penstock;
using namespace penstock::test;
using rtp::fec::Code;
using rtp::fec::Decoder;
using rtp::fec::Encoder;
using rtp::fec::Matrix;

namespace {

constexpr size_t kMost = 60;  // bytes of body
constexpr rtp::fec::Carriage kFlexfec{rtp::fec::Scheme::flexfec, 120}, kUlpfec{rtp::fec::Scheme::ulpfec, 120};

struct Sent {
    uint64_t number;  // of a media packet
    Bytes packet;
    std::optional<LineModel> line;  // of a repair packet
};

// Media and repair packets in the order in which they were sent. Among the media, repair takes numbers of theirs.
std::vector<Sent> send(const Code& code, Random& random, uint64_t from, uint64_t count) {
    std::vector<Sent> sent;
    Encoder encoder(code, 12 + kMost);
    uint64_t number = from;
    for (uint64_t n = from; n < from + count; n++, number++) {
        sent.push_back({number, any_media_packet(random, n, kMost), {}});
        const auto repair = encoder.protect(sent.back().packet);
        if (encoder.renumbers()) {
            REQUIRE(encoder.sequence() == static_cast<uint16_t>(number));
            sent.back().packet[2] = static_cast<std::byte>(number >> 8 & 0xff);
            sent.back().packet[3] = static_cast<std::byte>(number & 0xff);
        }
        if (!repair) continue;
        const Bytes packet = whole(*repair);
        const auto parsed = rtp::fec::parse_repair(code.carriage, packet);
        REQUIRE(parsed);
        const auto& members = parsed->header.members;
        LineModel line{parsed->header.line, {}};
        const auto behind = static_cast<uint16_t>(static_cast<uint16_t>(number) - members.base);
        for (unsigned i = 0; i < members.count; i++)
            if (members.includes(i)) line.members.push_back(number - behind + uint64_t{i} * members.offset);
        if (encoder.renumbers()) number++;
        sent.push_back({number, packet, line});
    }
    return sent;
}

std::map<uint64_t, Bytes> media_of(const std::vector<Sent>& sent) {
    std::map<uint64_t, Bytes> media;
    for (const Sent& s : sent)
        if (!s.line) media[s.number] = s.packet;
    return media;
}

// Gives it to the decoder; each packet that comes out of it is checked and added to `recovered`.
void arrive(Decoder& decoder, const Code& code, const Sent& s, const std::map<uint64_t, Bytes>& media,
            std::set<uint64_t>& recovered) {
    if (s.line) {
        decoder.repair(code.carriage, s.packet);
    } else {
        decoder.media(s.packet);
    }
    while (const auto packet = decoder.recover()) {
        const unsigned sequence = at16(*packet, 2);
        const auto original =
            std::ranges::find_if(media, [&](const auto& m) { return (m.first & 0xffff) == sequence; });
        REQUIRE(original != media.end());
        REQUIRE(Bytes(packet->begin(), packet->end()) == original->second);
        REQUIRE(recovered.insert(original->first).second);
    }
}

// Every pattern of loss of the first matrix and of its repair.
void exhaust(const Code& code) {
    Random random;
    const Matrix& matrix = code.matrix;
    const uint64_t size = uint64_t{matrix.columns} * matrix.rows, from = 0x10000 - size / 2;
    // A matrix before it, so that a first packet is there to be counted from, and one after it.
    const auto sent = send(code, random, from - size, 3 * size);
    const auto media = media_of(sent);
    std::vector<size_t> mortal;
    for (size_t i = 0; i < sent.size(); i++) {
        const uint64_t first = sent[i].line ? sent[i].line->members.front() : sent[i].number;
        if (first >= from && first < from + size) mortal.push_back(i);
    }
    REQUIRE(mortal.size() ==
            size + (matrix.column_repair ? matrix.columns : 0u) + (matrix.row_repair ? matrix.rows : 0u));
    for (uint64_t pattern = 0; pattern < uint64_t{1} << mortal.size(); pattern++) {
        std::vector<bool> lost(sent.size());
        for (size_t i = 0; i < mortal.size(); i++) lost[mortal[i]] = (pattern >> i & 1) != 0;
        Decoder decoder(12 + kMost, {}, 64);
        std::set<uint64_t> lost_media, recovered;
        std::vector<LineModel> lines;
        for (size_t i = 0; i < sent.size(); i++) {
            if (lost[i] && !sent[i].line) lost_media.insert(sent[i].number);
            if (lost[i]) continue;
            if (sent[i].line) lines.push_back(*sent[i].line);
            arrive(decoder, code, sent[i], media, recovered);
        }
        if (recovered != recoverable(lost_media, lines)) FAIL("pattern " << pattern);
    }
}

}  // namespace

TEST_CASE("every pattern of loss of 3x3, repair packets included", "[fec]") {
    exhaust(st2022({.columns = 3, .rows = 3}));
    exhaust({.carriage = kFlexfec, .matrix = {.columns = 3, .rows = 3}});
}
TEST_CASE("every pattern of loss of 4x3", "[fec]") { exhaust(st2022({.columns = 4, .rows = 3})); }
TEST_CASE("every pattern of loss of columns only or rows only, 4x3", "[fec]") {
    exhaust(st2022({.columns = 4, .rows = 3, .row_repair = false}));
    exhaust({.carriage = kFlexfec, .matrix = {.columns = 4, .rows = 3, .row_repair = false}, .mask = true});
    exhaust({.carriage = kUlpfec, .matrix = {.columns = 4, .rows = 3, .row_repair = false}});
    exhaust({.carriage = kUlpfec, .matrix = {.columns = 4, .rows = 3, .column_repair = false}});
}

TEST_CASE("what rows and columns can repair is repaired, over loss, reordering, duplicates and wrap-around", "[fec]") {
    Random random;
    uint64_t total = 0;
    for (int run = 0; run < 200; run++) {
        const Code code = any_code(random, true);
        const Matrix& matrix = code.matrix;
        const uint64_t size = uint64_t{matrix.columns} * matrix.rows, from = random.between(0xf000, 0x10000);
        const uint64_t count = std::max<uint64_t>(8 * size, 400);
        const double loss = random.below<double>(25) / 100, burst = random.chance(0.5) ? 0 : 0.005;
        const double twice = random.chance(0.5) ? 0 : 0.05;
        const uint64_t reordering = random.chance(0.4) ? 0 : random.below<uint64_t>(60);
        INFO("run " << run << ": " << named(code) << " loss " << loss << " reordering " << reordering);
        const auto sent = send(code, random, from, count);
        const auto media = media_of(sent);
        std::set<uint64_t> lost;
        std::vector<LineModel> lines;
        std::vector<std::pair<uint64_t, size_t>> arrivals;  // when, which
        uint64_t burst_left = 0;
        for (size_t i = 0; i < sent.size(); i++) {
            if (random.chance(burst)) burst_left = random.below<uint64_t>(matrix.columns + 1);
            const bool edge = i == 0 || i + 2 >= sent.size();  // a packet is lost when a later one came
            if (!edge && (random.chance(loss) || burst_left > 0)) {
                if (burst_left > 0) burst_left--;
                if (!sent[i].line) lost.insert(sent[i].number);
                continue;
            }
            if (sent[i].line) lines.push_back(*sent[i].line);
            const uint64_t delay = i == 0 ? 0 : edge ? reordering + 1 : random.below<uint64_t>(reordering + 1);
            arrivals.emplace_back(i + delay, i);
            if (random.chance(twice)) arrivals.emplace_back(i + delay + random.below<uint64_t>(20), i);
        }
        std::ranges::stable_sort(arrivals);

        Decoder decoder(12 + kMost, {}, 1024);
        std::set<uint64_t> recovered, arrived;
        for (const auto& [when, i] : arrivals) {
            if (!sent[i].line) arrived.insert(sent[i].number);
            arrive(decoder, code, sent[i], media, recovered);
        }
        std::set<uint64_t> repaired;  // a packet that was overtaken by its repair is both recovered and received
        for (const uint64_t n : recovered)
            if (lost.contains(n)) repaired.insert(n);
        CHECK(repaired == recoverable(lost, lines));
        CHECK(decoder.counters().recovered.read() == recovered.size());
        CHECK(decoder.counters().refused.read() == 0);
        CHECK(decoder.counters().restarts.read() == 0);
        total += repaired.size();
    }
    CHECK(total > 1000);
}

TEST_CASE("repair that begins mid-stream repairs all that it can from there on", "[fec]") {
    Random random;
    for (int run = 0; run < 60; run++) {
        const Code code = any_code(random);
        const uint64_t before = random.between<uint64_t>(1, 700), from = random.between(0xfd00, 0x10200);
        INFO("run " << run << ": " << named(code) << " after " << before << " packets");
        const auto sent = send(code, random, from, 800);
        auto media = media_of(sent);
        Decoder decoder(12 + kMost, {}, 1024);
        std::set<uint64_t> lost, recovered;
        std::vector<LineModel> lines;
        for (uint64_t n = from - before; n < from; n++) {
            media[n] = any_media_packet(random, n, kMost);
            if (n == from - before || !random.chance(0.1)) arrive(decoder, code, {n, media[n], {}}, media, recovered);
        }
        CHECK(recovered.empty());
        for (size_t i = 0; i < sent.size(); i++) {
            const bool edge = i + 2 >= sent.size();
            if (!edge && random.chance(0.1)) {
                if (!sent[i].line) lost.insert(sent[i].number);
                continue;
            }
            if (sent[i].line) lines.push_back(*sent[i].line);
            arrive(decoder, code, sent[i], media, recovered);
        }
        CHECK(recovered == recoverable(lost, lines));
        CHECK(decoder.counters().refused.read() == 0);
    }
}

// How much is repaired then depends on what comes when; that nothing wrong is given out does not (arrive() compares).
TEST_CASE("what is reordered by more than the window does no harm", "[fec]") {
    constexpr uint32_t kSmall = 64;
    Random random;
    uint64_t repaired = 0;
    for (int run = 0; run < 100; run++) {
        const Code code = any_code(random, true);
        INFO("run " << run << ": " << named(code));
        const auto sent = send(code, random, random.between(0xf800, 0x10000), 1500);
        const auto media = media_of(sent);
        std::vector<std::pair<uint64_t, size_t>> arrivals;
        for (size_t i = 0; i < sent.size(); i++) {
            if (i != 0 && random.chance(0.1)) continue;
            const uint64_t far = random.chance(0.1) ? random.below<uint64_t>(8 * kSmall) : random.below<uint64_t>(8);
            arrivals.emplace_back(i == 0 ? 0 : i + far, i);
        }
        std::ranges::stable_sort(arrivals);
        Decoder decoder(12 + kMost, {}, kSmall);
        std::set<uint64_t> recovered;
        for (const auto& [when, i] : arrivals) arrive(decoder, code, sent[i], media, recovered);
        CHECK(decoder.counters().restarts.read() == 0);
        repaired += recovered.size();
    }
    CHECK(repaired > 1000);
}

TEST_CASE("a burst of up to a row is repaired, whatever of media and repair it takes", "[fec]") {
    Random random;
    for (int run = 0; run < 60; run++) {
        Code code = any_code(random);
        // By block: a staggered column may end with a packet of the burst, and its repair be lost with it.
        code.matrix = {.columns = random.between<uint8_t>(4, 10), .rows = random.between<uint8_t>(4, 10)};
        if (code.carriage.scheme == rtp::fec::Scheme::ulpfec) code.carriage = kFlexfec;
        const auto& matrix = code.matrix;
        const uint64_t size = uint64_t{matrix.columns} * matrix.rows, from = random.between(0xf000, 0x10000);
        INFO("run " << run << ": " << named(code));
        const auto sent = send(code, random, from, 20 * size);
        const auto media = media_of(sent);
        Decoder decoder(12 + kMost, {}, 1024);
        std::set<uint64_t> lost, recovered;
        // One in four matrices; whatever is sent just then, repair as well as media. Columns come a matrix later.
        uint64_t next = from + size + random.below<uint64_t>(size), left = 0;
        for (const Sent& s : sent) {
            if (!s.line && s.number == next && next < from + 16 * size) {
                left = random.between<uint64_t>(1, matrix.columns);
                next += 4 * size + random.below<uint64_t>(size);
            }
            if (left > 0) {
                left--;
                if (!s.line) lost.insert(s.number);
                continue;
            }
            arrive(decoder, code, s, media, recovered);
        }
        CHECK(!lost.empty());
        CHECK(recovered == lost);
    }
}

TEST_CASE("a packet is given out once: as received or as recovered", "[fec]") {
    Random random;
    for (int run = 0; run < 30; run++) {
        const Code code = any_code(random, true);
        const auto sent = send(code, random, 500, 1200);
        const auto media = media_of(sent);
        std::vector<std::pair<uint64_t, size_t>> arrivals;
        for (size_t i = 0; i < sent.size(); i++)
            for (unsigned copies = random.below(3); copies > 0 || i == 0; copies--) {
                arrivals.emplace_back(i + (i == 0 ? 0 : random.below<uint64_t>(80)), i);
                if (copies == 0) break;
            }
        std::ranges::stable_sort(arrivals);
        Decoder decoder(12 + kMost, {}, 1024);
        std::map<unsigned, unsigned> out;
        for (const auto& [when, i] : arrivals) {
            if (sent[i].line) decoder.repair(code.carriage, sent[i].packet);
            if (!sent[i].line && decoder.media(sent[i].packet)) out[at16(sent[i].packet, 2)]++;
            while (const auto packet = decoder.recover()) out[at16(*packet, 2)]++;
        }
        for (const auto& [sequence, copies] : out) {
            INFO("run " << run << " sequence " << sequence);
            CHECK(copies == 1);
        }
    }
}

TEST_CASE("what is neither received nor recovered is counted when it leaves the window", "[fec]") {
    Random random;
    for (int run = 0; run < 30; run++) {
        const uint64_t count = 2000;
        const Code code = any_code(random);
        const auto sent = send(code, random, 0xfe00, count);
        const auto media = media_of(sent);
        const double loss = random.below<double>(40) / 100;
        Decoder decoder(12 + kMost, {}, 256);
        std::set<uint64_t> recovered;
        uint64_t lost = 0;
        for (size_t i = 0; i < sent.size(); i++) {
            const bool last = !sent[i].line && sent[i].number >= 0xfe00 + count - 256;
            if (i != 0 && !last && random.chance(loss)) {
                lost += sent[i].line ? 0 : 1;
                continue;
            }
            arrive(decoder, code, sent[i], media, recovered);
        }
        CHECK(decoder.counters().unrecovered.read() + recovered.size() == lost);
    }
}

TEST_CASE("repair of a former life of the source never touches the present one", "[fec]") {
    Random random;
    for (int run = 0; run < 200; run++) {
        const Code code = any_code(random);
        const auto before = send(code, random, 1000, 300);
        // The same numbers again or nearly, with other timestamps.
        std::vector<Sent> after;
        std::map<uint64_t, Bytes> media = media_of(before), former = media;
        const uint64_t from = random.between(900, 1500);
        const uint32_t ssrc = random.chance(0.5) ? kMediaSsrc : 77;
        for (uint64_t n = from; n < from + 300; n++) {
            Bytes packet = any_media_packet(random, n, kMost, ssrc);
            const auto shift = static_cast<uint32_t>(0x5a000000 + n * 3003);
            for (size_t i = 0; i < 4; i++) packet[4 + i] = static_cast<std::byte>(shift >> (24 - 8 * i) & 0xff);
            after.push_back({n, packet, {}});
        }
        Decoder decoder(12 + kMost, {}, 512);
        std::vector<Sent> late;  // repair of the first life that comes in the second
        for (const Sent& s : before) {
            if (s.line && random.chance(0.7)) {
                late.push_back(s);
            } else if (s.line || !random.chance(0.1)) {
                std::set<uint64_t> recovered;
                arrive(decoder, code, s, media, recovered);
            }
        }
        for (const Sent& s : after) media[s.number] = s.packet;
        size_t given = 0;
        for (size_t i = 0; i < after.size(); i++) {
            if (i >= 2 && random.chance(0.1)) continue;  // two in a row are what makes a new life
            decoder.media(after[i].packet);
            while (given < late.size() && given < i) decoder.repair(code.carriage, late[given++].packet);
            if (i < 2) continue;
            while (const auto packet = decoder.recover()) {
                INFO("run " << run << " sequence " << at16(*packet, 2));
                // A source that went on a little further may have lost those between for all that anyone can tell:
                // what its first life had sent is right, too. A mixture never is.
                const Bytes got(packet->begin(), packet->end());
                const unsigned sequence = at16(got, 2);
                REQUIRE((got == media.at(sequence) || got == former[sequence]));
            }
        }
    }
}
