#pragma once
// Where in a stream of video packets a decoder can begin: looks at the first bytes of each payload and at no picture.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace penstock::rtp {

enum class Codec : uint8_t { other, h264, h265, av1 };

// Of an encoding as SDP has it: "H264/90000"; names are case-insensitive (RFC 8866 section 6.6).
Codec codec_of(std::string_view encoding) noexcept;

// What a packet brings, as far as a decoder that begins is concerned; of several things the last one named here.
enum class Part : uint8_t {
    other,       // nothing that tells: the rest of a fragmented unit, messages, delimiters, what cannot be understood
    parameters,  // parameter sets
    picture,     // the beginning of a slice of another picture
    key          // the beginning of a slice of a key picture; AV1: of a coded video sequence
};

// `payload`: after the RTP header, extension and all. H.264: RFC 6184 in its non-interleaved modes. H.265: RFC 7798
// without decoding order numbers. AV1: the RTP payload format of AOMedia.
Part part_of(Codec codec, std::span<const std::byte> payload) noexcept;

// The packet at which a decoder can begin, or one of the packets that follow it in the same picture: those are to be
// told from it by the timestamp. Parameter sets count, since what they come in front of is not known yet.
inline bool begins_key_frame(Codec codec, std::span<const std::byte> payload) noexcept {
    const Part part = part_of(codec, payload);
    return part == Part::parameters || part == Part::key;
}

// Finds the packet at which the newest key frame begins: the first of its parameter sets if they came right before it,
// whatever their timestamp (some cameras give them that of the picture before), else its first slice. Parameter sets
// in front of another picture begin nothing. Packets come as they arrive: reordered, or with some missing.
class KeyFrames {
public:
    // The number to begin at, when this packet settles it or makes it an earlier one.
    std::optional<uint64_t> see(Part part, uint64_t number, uint32_t timestamp) noexcept;

private:
    bool has_parameters_ = false, has_key_ = false;
    uint64_t parameters_ = 0;  // number of the first of those that wait for their picture
    uint64_t begin_ = 0;       // of the newest key frame
    uint32_t timestamp_ = 0;   // of its slices
};

}  // namespace penstock::rtp
