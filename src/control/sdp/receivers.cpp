#include "control/sdp/receivers.hpp"

#include <fmt/format.h>

#include "control/sdp/groups.hpp"
#include "flow/repeat.hpp"
#include "rtp/fec/flexfec.hpp"

namespace penstock::sdp {
namespace {

using rtp::fec::Code;
using rtp::fec::Scheme;

// How far repair may come behind the media, microseconds (RFC 8627 section 5.1, RFC 6015 section 5.1). It takes a
// matrix or two; how long these last depends on the source.
constexpr unsigned kRepairWindow = 1'000'000;
constexpr uint8_t kTtl = 127;  // of a group, where copies have that of the packets that arrive

std::string flexfec_parameters(const Code& code) {
    const std::string window = fmt::format("repair-window={}", kRepairWindow);
    const auto& matrix = code.matrix;
    if (code.mask) return window;
    // RFC 8627 section 5.1: ToP 0 is of columns, 1 of rows, 2 of both.
    if (!matrix.column_repair) return fmt::format("{}; L={}; ToP=1", window, matrix.columns);
    return fmt::format("{}; L={}; D={}; ToP={}", window, matrix.columns, matrix.rows, matrix.row_repair ? 2 : 0);
}

// ST 2022-1 has no name in SDP. Its columns are those of RFC 6015; a row is a column of a matrix of that width 1.
void add_parity(Media& media, uint8_t payload_type, uint32_t clock_rate, unsigned columns, unsigned rows) {
    add_format(media, payload_type, fmt::format("1d-interleaved-parityfec/{}", clock_rate),
               fmt::format("L={}; D={}; repair-window={}", columns, rows, kRepairWindow));
}

class Writer {
public:
    void add(const SentTrack& track, uint8_t payload_type) {
        std::vector<std::string> mids;
        for (const config::Output& output : track.outputs) {
            mids.push_back(mids.empty() ? track.name : track.name + "-copy");
            add(track, payload_type, output, mids.back());
        }
        if (mids.size() > 1) group(kDuplicates, std::move(mids));
    }
    Description description;

private:
    void group(std::string_view semantics, std::vector<std::string> mids) {
        description.attributes.push_back(attribute(Group{std::string(semantics), std::move(mids)}));
    }

    void add(const SentTrack& track, uint8_t payload_type, const config::Output& output, const std::string& mid) {
        Media m = medium_of(track.config, payload_type);
        m.port = output.rtp.port;
        m.connections = {connection_of(output)};
        const auto ssrcs = [&](std::string_view semantics, auto other) {
            if (track.ssrc)
                m.attributes.push_back(attribute(SsrcGroup{std::string(semantics), {*track.ssrc, other(*track.ssrc)}}));
        };
        const bool numbered_anew = output.fec && output.fec->code.carriage.among_media;
        if (track.config.feedback && track.config.feedback->retransmit != 0 && !output.rtp.ip.is_multicast() &&
            !numbered_anew) {
            const auto rtx = output.rtx ? std::optional(output.rtx->payload_type) : std::nullopt;
            offer_retransmission(m, track.config, payload_type, rtx);
            if (rtx)
                ssrcs("FID", [&](uint32_t ssrc) {
                    return output.rtx->ssrc != 0 ? output.rtx->ssrc : rtp::rtx_ssrc_for(ssrc);
                });
        }
        if (output.fec && output.fec->port == 0) {
            add_repair(m, track.config, output.fec->code);
            if (output.fec->code.carriage.scheme == Scheme::flexfec) ssrcs(kRepair, rtp::fec::repair_ssrc);
            if (output.fec->retransmission) ssrcs(kRepair, rtp::fec::retransmission_ssrc);
        }
        if (output.duplicate_after.count() != 0) {
            ssrcs(kDuplicates, flow::Repeat::ssrc_for);
            m.attributes.push_back({"duplication-delay", std::to_string(output.duplicate_after.count())});
        }
        if (output.rtcp_mux) m.attributes.push_back({"rtcp-mux", std::nullopt});
        m.attributes.push_back({"mid", mid});
        description.media.push_back(std::move(m));
        if (output.fec && output.fec->port != 0) add_repair_media(track, output, mid);
    }

    // Repair that has ports of its own.
    void add_repair_media(const SentTrack& track, const config::Output& output, const std::string& mid) {
        const Code& code = output.fec->code;
        std::vector<std::string> mids{mid};
        for (const uint16_t further : config::repair_ports(output)) {
            Media m;
            m.type = "application";
            m.port = static_cast<uint16_t>(output.rtp.port + further);
            m.connections = {connection_of(output)};
            if (code.carriage.scheme != Scheme::st2022_1) {
                add_repair(m, track.config, code);
                mids.push_back(mid + "-fec");
            } else if (further == rtp::fec::kColumnPort) {
                add_parity(m, code.carriage.payload_type, track.config.clock_rate, code.matrix.columns,
                           code.matrix.rows);
                mids.push_back(mid + "-columns");
            } else {
                add_parity(m, code.carriage.payload_type, track.config.clock_rate, 1, code.matrix.columns);
                mids.push_back(mid + "-rows");
            }
            m.attributes.push_back({"mid", mids.back()});
            description.media.push_back(std::move(m));
        }
        group(kRepair, std::move(mids));
    }

    static void add_repair(Media& media, const config::Track& track, const Code& code) {
        const bool flexfec = code.carriage.scheme == Scheme::flexfec;
        add_format(media, code.carriage.payload_type,
                   fmt::format("{}/{}", flexfec ? "flexfec" : "ulpfec", track.clock_rate),
                   flexfec ? flexfec_parameters(code) : "");
    }

    static Connection connection_of(const config::Output& output) {
        const Ip& ip = output.rtp.ip;
        if (!ip.is_multicast() || !ip.is_v4()) return connection_to(ip);
        return connection_to(ip, output.ttl.value_or(kTtl));
    }
};

}  // namespace

Result<std::string> receivers(const std::string& stream, std::span<const SentTrack> tracks, const Ip& from) {
    Writer writer;
    for (const SentTrack& track : tracks) {
        const auto type = payload_type_of(track.config);
        if (!type)
            return fail(fmt::format("track '{}' has no payload_type, and a receiver must be told one", track.name));
        writer.add(track, *type);
    }
    return written(std::move(writer.description), stream, from);
}

}  // namespace penstock::sdp
