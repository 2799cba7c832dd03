// What RtcpWriter writes is read again as it was meant, whatever it is and however little room there is.
#include <catch2/catch.hpp>

#include <array>
#include <set>
#include <string>
#include <vector>

#include "rtp/rtcp/description.hpp"
#include "rtp/rtcp/feedback.hpp"
#include "rtp/rtcp/report.hpp"
#include "rtp/rtcp/writer.hpp"
#include "support/random.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

namespace {

// What was written, or read, in words.
using Said = std::vector<std::string>;

std::string text(const ReportBlock& b) {
    std::string s = "block";
    for (const int64_t n : {int64_t{b.ssrc}, int64_t{b.fraction_lost}, int64_t{b.lost}, int64_t{b.highest},
                            int64_t{b.jitter}, int64_t{b.last_report}, int64_t{b.since_report}})
        s += " " + std::to_string(n);
    return s;
}
std::string text(const SenderInfo& s) {
    return "sr " + std::to_string(s.ssrc) + " " + std::to_string(s.ntp) + " " + std::to_string(s.timestamp) + " " +
           std::to_string(s.packets) + " " + std::to_string(s.octets);
}
std::string text(const SinceReference& r) {
    return "since " + std::to_string(r.ssrc) + " " + std::to_string(r.last) + " " + std::to_string(r.since);
}
std::string text(uint32_t from, uint32_t media, const std::vector<uint16_t>& numbers) {
    std::string s = "nack " + std::to_string(from) + " " + std::to_string(media);
    for (const uint16_t n : numbers) s += " " + std::to_string(n);
    return s;
}

Said read(std::span<const std::byte> datagram) {
    Said said;
    each_packet(datagram, [&](const RtcpPacket& p) {
        if (const auto info = sender_info(p)) said.push_back(text(*info));
        if (p.type == RtcpType::rr) said.push_back("rr " + std::to_string(penstock::wire::load32(&p.body[0])));
        each_report(p, [&](const ReportBlock& b) { said.push_back(text(b)); });
        each_item(p, [&](uint32_t ssrc, uint8_t type, std::string_view name) {
            said.push_back("item " + std::to_string(ssrc) + " " + std::to_string(type) + " " + std::string(name));
        });
        each_leaving(
            p, [&](uint32_t ssrc) { said.push_back("bye " + std::to_string(ssrc) + " " + std::string(reason_of(p))); });
        if (const auto nack = feedback(p, RtcpType::rtpfb, kNack)) {
            std::vector<uint16_t> numbers;
            each_number(*nack, [&](uint16_t n) { numbers.push_back(n); });
            said.push_back(text(nack->from, nack->media, numbers));
        }
        if (const auto pli = feedback(p, RtcpType::psfb, kPli))
            said.push_back("pli " + std::to_string(pli->from) + " " + std::to_string(pli->media));
        if (const auto fir = feedback(p, RtcpType::psfb, kFir))
            said.push_back("fir " + std::to_string(penstock::wire::load32(&fir->entries[0])) + " " +
                           std::to_string(penstock::wire::load8(&fir->entries[4])));
        if (const auto time = reference_time(p)) said.push_back("time " + std::to_string(*time));
        each_since_reference(p, [&](const SinceReference& r) { said.push_back(text(r)); });
    });
    return said;
}

}  // namespace

TEST_CASE("RTCP that is written is read as it was meant", "[rtcp]") {
    Random random{51};
    for (int round = 0; round < 2000; round++) {
        std::array<std::byte, 1500> room;
        RtcpWriter writer(std::span{room}.first(random.below<size_t>(room.size() + 1)));
        Said wanted;
        const auto word = [&] { return static_cast<uint32_t>(random.word()); };
        const auto name = [&] {
            return std::string(random.below<size_t>(256), static_cast<char>('a' + random.below(26)));
        };
        for (unsigned i = random.below(8); i > 0; i--) {
            std::vector<ReportBlock> blocks(random.below<size_t>(32));
            for (ReportBlock& b : blocks)
                b = {word(),
                     static_cast<uint8_t>(word()),
                     static_cast<int32_t>(word() << 8) >> 8,
                     word(),
                     word(),
                     word(),
                     word()};
            switch (random.below(8)) {
                case 0: {
                    const uint32_t from = word();
                    if (!writer.receiver_report(from, blocks)) break;
                    wanted.push_back("rr " + std::to_string(from));
                    for (const ReportBlock& b : blocks) wanted.push_back(text(b));
                    break;
                }
                case 1: {
                    const uint32_t from = word();
                    const std::string cname = name();
                    if (writer.cname(from, cname)) wanted.push_back("item " + std::to_string(from) + " 1 " + cname);
                    break;
                }
                case 2: {
                    const uint32_t from = word();
                    const std::string why = name();
                    if (writer.bye(from, why)) wanted.push_back("bye " + std::to_string(from) + " " + why);
                    break;
                }
                case 3: {  // ascending from anywhere, round the end too
                    const auto first = random.below<uint16_t>(0x10000);
                    std::set<unsigned> distances;
                    for (unsigned n = random.below(60); n > 0; n--)
                        distances.insert(random.below(random.chance(0.5) ? 40 : 2000));
                    std::vector<uint16_t> numbers;
                    for (const unsigned d : distances) numbers.push_back(static_cast<uint16_t>(first + d));
                    const uint32_t from = word(), media = word();
                    const size_t fit = writer.nack(from, media, numbers);
                    REQUIRE(fit <= numbers.size());
                    numbers.resize(fit);
                    if (fit != 0) wanted.push_back(text(from, media, numbers));
                    break;
                }
                case 4: {
                    const uint32_t from = word(), media = word();
                    if (writer.pli(from, media))
                        wanted.push_back("pli " + std::to_string(from) + " " + std::to_string(media));
                    break;
                }
                case 5: {
                    const uint64_t time = random.word();
                    if (writer.reference_time(word(), time)) wanted.push_back("time " + std::to_string(time));
                    break;
                }
                case 6: {
                    const SinceReference r{word(), word(), word()};
                    if (writer.since_reference(word(), r)) wanted.push_back(text(r));
                    break;
                }
                default: {
                    const uint32_t media = word();
                    const auto number = static_cast<uint8_t>(word());
                    if (writer.fir(word(), media, number))
                        wanted.push_back("fir " + std::to_string(media) + " " + std::to_string(number));
                }
            }
        }
        CHECK(read(writer.written()) == wanted);
        CHECK((writer.written().empty() || valid_rtcp(writer.written())));
    }
}
