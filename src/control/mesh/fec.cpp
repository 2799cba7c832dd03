// What a track of the model needs for forward error correction: a decoder when a path brings repair, and an encoder for
// each code that outputs want.
#include <algorithm>

#include "control/mesh/mesh.hpp"

namespace penstock::mesh {

// Bytes of RTP of the largest packet that any port can bring, IP and UDP headers apart, or that fits a packet buffer.
size_t Mesh::largest_packet() const {
    constexpr size_t kHeaders = 20 + 8, kUsual = 1500 - kHeaders, kBuffer = 2048 - kHeaders;
    size_t largest = kUsual;
    for (const flow::PortInfo& port : ports_) largest = std::max<size_t>(largest, port.mtu - kHeaders);
    return std::min(largest, kBuffer);
}

// Decoder and encoders: those of the former track where they fit this one, too.
void Mesh::take_fec(Track& track, const Track* before) const {
    const auto& config = track.config;
    if (std::ranges::any_of(config.sources, [](const config::Source& s) { return s.fec.has_value(); })) {
        const auto& known = before ? before->extras().decoder : nullptr;
        const bool fits = known && before->config.payload_type == config.payload_type;
        track.make_extras().decoder =
            fits ? known : std::make_shared<rtp::fec::Decoder>(largest_packet(), config.payload_type);
    }
    for (const config::Output& output : config.outputs) {
        const auto has = [&](const Encoding& e) { return e.code == output.fec->code; };
        if (!output.fec || std::ranges::any_of(track.extras().encodings, has)) continue;
        std::vector<Encoding>& encodings = track.make_extras().encodings;
        const auto* const former = before ? &before->extras().encodings : nullptr;
        const auto known = former ? std::ranges::find_if(*former, has) : encodings.cend();
        if (former && known != former->end()) {
            encodings.push_back(*known);
        } else {
            const bool renumbers = output.fec->code.carriage.among_media;
            encodings.push_back({output.fec->code,
                                 std::make_shared<rtp::fec::Encoder>(output.fec->code, largest_packet()),
                                 renumbers ? std::make_shared<flow::Sent>() : nullptr});
        }
    }
}

}  // namespace penstock::mesh
