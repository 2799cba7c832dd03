#include "control/config/retransmission.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace penstock::config {
namespace {

constexpr uint32_t kMostBudget = 100'000;

std::optional<std::chrono::milliseconds> milliseconds(const Value& value, unsigned least, unsigned most) {
    return value.parsed(fmt::format("a time from {}ms to {}ms", least, most),
                        [&](std::string_view text) -> std::optional<std::chrono::milliseconds> {
                            if (!text.ends_with("ms")) return std::nullopt;
                            const auto n = decimal(text.substr(0, text.size() - 2));
                            if (!n || *n < least || *n > most) return std::nullopt;
                            return std::chrono::milliseconds(*n);
                        });
}

bool keeps(const Track& track) { return track.feedback && track.feedback->retransmit != 0; }

void check_types(const Track& track, bool of_camera, Problems& problems) {
    const auto check = [&](const Mark& at, uint8_t rtx, std::string_view key) {
        if (!track.payload_type && of_camera) return;  // which says it later
        if (!track.payload_type) {
            problems.add(
                at, fmt::format("`{}` is told by its payload type: say the `payload_type` of the track, too", key));
        } else if (*track.payload_type == rtx) {
            problems.add(at, fmt::format("payload type {} is that of the media: give `{}` another one", rtx, key));
        }
    };
    for (const Source& source : track.sources) {
        if (!source.nack || !source.nack->rtx) continue;
        check(source.at, *source.nack->rtx, "nack.rtx");
        if (source.fec && source.fec->port == 0 && source.fec->carriage.payload_type == *source.nack->rtx)
            problems.add(source.at, fmt::format("payload type {} is that of the repair: give `nack.rtx` another one",
                                                *source.nack->rtx));
    }
    for (const Output& output : track.outputs) {
        const bool as_repair = output.fec && output.fec->retransmission;
        if (as_repair && output.rtx)
            problems.add(output.at,
                         "`rtx` and `fec.retransmission` both say how packets are sent again: leave one out");
        if (as_repair && !keeps(track))
            problems.add(output.at,
                         "`fec.retransmission` says how packets are sent again: say in `feedback` of the track how "
                         "many are kept");
        if (!output.rtx) continue;
        check(output.at, output.rtx->payload_type, "rtx");
        if (!keeps(track))
            problems.add(output.at,
                         "`rtx` says how packets are sent again: say in `feedback` of the track how many are kept");
        if (!output.fec || output.fec->port != 0) continue;
        if (output.fec->code.carriage.among_media) {
            problems.add(output.at,
                         "`rtx` does not go with ulpfec on the port of the media, whose numbers are not those under "
                         "which packets are kept: give repair a port of its own");
        } else if (output.fec->code.carriage.payload_type == output.rtx->payload_type) {
            problems.add(output.at, fmt::format("payload type {} is that of the repair: give `rtx` another one",
                                                output.rtx->payload_type));
        }
    }
}

uint64_t kept_by(const Track& track) { return keeps(track) ? std::bit_ceil(track.feedback->retransmit) : 0; }

}  // namespace

std::optional<Nack> read_nack(const Value& value, const Source& of) {
    static constexpr std::string_view kKeys[] = {"wait", "deadline", "budget", "rtx"};
    if (!value) return std::nullopt;
    const Map map{value, kKeys};
    Nack nack;
    nack.wait = milliseconds(map["wait"], 0, 1000).value_or(nack.wait);
    nack.deadline = milliseconds(map["deadline"], 10, 5000).value_or(nack.deadline);
    nack.budget = map["budget"].number<uint32_t>(1, kMostBudget).value_or(nack.budget);
    if (const Value rtx = map["rtx"]) nack.rtx = rtx.number<uint8_t>(96, 127);
    if (nack.wait >= nack.deadline)
        value.problem(fmt::format("`wait` of {} ms is not before the `deadline` of {} ms: nothing would be asked for",
                                  nack.wait.count(), nack.deadline.count()));
    if (of.rtp.ip.is_multicast())
        value.problem(value.key_at(), "goes with a unicast source: of a group's sender nobody says where it listens");
    if (of.fec && of.fec->carriage.among_media)
        value.problem(value.key_at(),
                      "does not go with ulpfec on the port of the media, whose numbers repair packets share");
    return nack;
}

std::optional<rtp::RtxStream> read_rtx(const Value& value) {
    static constexpr std::string_view kKeys[] = {"payload_type", "ssrc"};
    if (!value) return std::nullopt;
    const Map map{value, kKeys};
    const auto type = map.required("payload_type").number<uint8_t>(96, 127);
    const auto ssrc = map["ssrc"].number<uint32_t>(1, 0xffffffff);
    return rtp::RtxStream{type.value_or(uint8_t{0}), ssrc.value_or(0)};
}

std::optional<Feedback> read_feedback(const Value& value) {
    static constexpr std::string_view kKeys[] = {"retransmit", "budget"};
    if (!value) return std::nullopt;
    const Map map{value, kKeys};
    Feedback feedback;
    if (const Value packets = map["retransmit"])
        feedback.retransmit = packets
                                  .parsed("16-16384 packets that are kept, or off",
                                          [](std::string_view text) -> std::optional<uint32_t> {
                                              if (text == "off" || text == "false") return 0;
                                              const auto n = decimal(text);
                                              if (!n || *n < 16 || *n > 16384) return std::nullopt;
                                              return static_cast<uint32_t>(*n);
                                          })
                                  .value_or(feedback.retransmit);
    feedback.budget = map["budget"].number<uint32_t>(1, kMostBudget).value_or(feedback.budget);
    return feedback;
}

unsigned packet_buffers(const Config& config) {
    if (config.memory.mbufs) return *config.memory.mbufs;
    uint64_t kept = Memory::kUsual;
    for (const Stream& stream : config.streams)
        for (const Track& track : stream.tracks) kept += kept_by(track);
    return static_cast<unsigned>(std::min<uint64_t>(kept, Memory::kMost));
}

void check_retransmission(const Config& config, Problems& problems) {
    uint64_t kept = 0;
    for (const Stream& stream : config.streams)
        for (const Track& track : stream.tracks) {
            check_types(track, stream.rtsp.has_value(), problems);
            const uint64_t before = kept, most = config.memory.mbufs.value_or(Memory::kMost) / 2;
            kept += kept_by(track);
            if (before <= most && kept > most)
                problems.add(track.at,
                             fmt::format("up to here {} packets are kept by `feedback.retransmit`, each in a packet "
                                         "buffer: at most half of memory.mbufs is allowed, {}",
                                         kept, most));
        }
}

}  // namespace penstock::config
