#include "rtp/picture.hpp"

#include <catch2/catch.hpp>

#include "support/media.hpp"

using namespace penstock::rtp;
using namespace penstock::test;

TEST_CASE("the codec of an encoding", "[picture]") {
    CHECK(codec_of("H264/90000") == Codec::h264);
    CHECK(codec_of("h264/90000") == Codec::h264);
    CHECK(codec_of("H265/90000") == Codec::h265);
    CHECK(codec_of("av1/90000") == Codec::av1);
    CHECK(codec_of("AV1") == Codec::av1);
    for (const char* other : {"", "/", "H264x/90000", "H26/90000", "H263-1998/90000", "VP8/90000", "opus/48000/2"})
        CHECK(codec_of(other) == Codec::other);
}

TEST_CASE("what a packet brings to a decoder", "[picture]") {
    struct Case {
        const char* what;
        Codec codec;
        Bytes payload;
        Part part;
    };
    const auto c = GENERATE(values<Case>({
        {"SPS", Codec::h264, hex("67 42c01e"), Part::parameters},
        {"PPS", Codec::h264, hex("68 ce3c80"), Part::parameters},
        {"SEI", Codec::h264, hex("06 05"), Part::other},
        {"access unit delimiter", Codec::h264, hex("09 f0"), Part::other},
        {"IDR slice", Codec::h264, hex("65 88"), Part::key},
        {"IDR slice, not needed for reference by its nal_ref_idc", Codec::h264, hex("05 88"), Part::key},
        {"slice", Codec::h264, hex("41 9a"), Part::picture},
        {"slice that nothing refers to", Codec::h264, hex("01 9a"), Part::picture},
        {"partition A", Codec::h264, hex("42 9a"), Part::picture},
        {"partition B", Codec::h264, hex("43 9a"), Part::other},
        {"STAP-A of SPS, PPS", Codec::h264, hex("78 0003 674200 0002 68ce"), Part::parameters},
        {"STAP-A of SPS, PPS, SEI, IDR", Codec::h264, hex("78 0002 6742 0002 68ce 0001 06 0002 6588"), Part::key},
        {"STAP-A of SEI, slice", Codec::h264, hex("78 0001 06 0002 419a"), Part::picture},
        {"STAP-A of PPS, slice", Codec::h264, hex("78 0002 68ce 0002 419a"), Part::picture},
        {"STAP-A whose second size is too large", Codec::h264, hex("78 0002 6742 0003 6588"), Part::parameters},
        {"STAP-A with a size of none", Codec::h264, hex("78 0000 0002 6588"), Part::other},
        {"STAP-A that ends in a size", Codec::h264, hex("78 00"), Part::other},
        {"STAP-A of nothing", Codec::h264, hex("78"), Part::other},
        {"FU-A, first of IDR", Codec::h264, hex("7c 85 88"), Part::key},
        {"FU-A, middle of IDR", Codec::h264, hex("7c 05 88"), Part::other},
        {"FU-A, last of IDR", Codec::h264, hex("7c 45 88"), Part::other},
        {"FU-A, first of a slice", Codec::h264, hex("5c 81 9a"), Part::picture},
        {"FU-A, first of SPS", Codec::h264, hex("7c 87 42"), Part::parameters},
        {"FU-A, cut", Codec::h264, hex("7c"), Part::other},
        {"STAP-B", Codec::h264, hex("79 0000 0002 6588"), Part::other},
        {"nothing", Codec::h264, {}, Part::other},
        {"VPS", Codec::h265, hex("4001 0c01"), Part::parameters},
        {"SPS", Codec::h265, hex("4201 0101"), Part::parameters},
        {"PPS", Codec::h265, hex("4401 c172"), Part::parameters},
        {"AUD", Codec::h265, hex("4601 50"), Part::other},
        {"SEI", Codec::h265, hex("4e01 05"), Part::other},
        {"IDR_W_RADL", Codec::h265, hex("2601 af"), Part::key},
        {"IDR_N_LP", Codec::h265, hex("2801 af"), Part::key},
        {"CRA", Codec::h265, hex("2a01 af"), Part::key},
        {"BLA_W_LP", Codec::h265, hex("2001 af"), Part::key},
        {"reserved IRAP", Codec::h265, hex("2c01 af"), Part::other},
        {"TRAIL_R", Codec::h265, hex("0201 d0"), Part::picture},
        {"RASL_N", Codec::h265, hex("1001 d0"), Part::picture},
        {"the layer id's bit is none of the type's", Codec::h265, hex("2701 af"), Part::key},
        {"AP of VPS, SPS, PPS", Codec::h265, hex("6001 0003 40010c 0003 420101 0003 4401c1"), Part::parameters},
        {"AP of PPS, IDR", Codec::h265, hex("6001 0003 4401c1 0003 2601af"), Part::key},
        {"AP of units that are too small", Codec::h265, hex("6001 0001 26 0003 2601af"), Part::other},
        {"FU, first of IDR", Codec::h265, hex("6201 93 af"), Part::key},
        {"FU, middle of IDR", Codec::h265, hex("6201 13 af"), Part::other},
        {"FU, first of TRAIL_R", Codec::h265, hex("6201 81 d0"), Part::picture},
        {"FU, cut", Codec::h265, hex("6201"), Part::other},
        {"half a header", Codec::h265, hex("26"), Part::other},
        {"new coded video sequence", Codec::av1, hex("18 0a0b"), Part::key},
        {"its second packet", Codec::av1, hex("90 3200"), Part::other},
        {"a temporal unit that goes on", Codec::av1, hex("10 3200"), Part::other},
        {"nothing", Codec::av1, {}, Part::other},
        {"what would be an IDR slice", Codec::other, hex("65 88"), Part::other},
    }));
    INFO(c.what);
    CHECK(part_of(c.codec, c.payload) == c.part);
    CHECK(begins_key_frame(c.codec, c.payload) == (c.part == Part::parameters || c.part == Part::key));
}

TEST_CASE("where the newest key frame begins", "[picture]") {
    using enum Part;
    struct Seen {
        uint64_t number;
        uint32_t timestamp;
        Part part;
    };
    struct Case {
        const char* what;
        std::vector<Seen> packets;
        std::optional<uint64_t> begin;
    };
    const auto c = GENERATE(values<Case>({
        {"no key frame yet", {{1, 10, picture}, {2, 10, other}}, {}},
        {"an IDR picture alone", {{1, 10, picture}, {2, 20, key}, {3, 20, other}, {4, 30, picture}}, 2},
        {"its parameter sets belong to it",
         {{1, 10, picture}, {2, 20, parameters}, {3, 20, parameters}, {4, 20, key}},
         2},
        {"with a message between", {{2, 20, parameters}, {3, 20, other}, {4, 20, key}}, 2},
        {"its other slices do not begin it anew", {{2, 20, parameters}, {3, 20, key}, {4, 20, key}, {5, 20, key}}, 2},
        {"nor do parameter sets between them", {{2, 20, key}, {3, 20, parameters}, {4, 20, key}}, 2},
        {"parameter sets with the time of the picture before",
         {{1, 10, picture}, {2, 10, parameters}, {3, 20, key}},
         2},
        {"parameter sets in front of another picture", {{1, 10, key}, {2, 20, parameters}, {3, 20, picture}}, 1},
        {"these do not belong to a later key frame",
         {{1, 10, key}, {2, 20, parameters}, {3, 20, picture}, {4, 30, key}},
         4},
        {"parameter sets that nothing follows yet", {{1, 10, key}, {2, 20, parameters}}, 1},
        {"the next key frame", {{1, 10, key}, {2, 20, picture}, {3, 30, parameters}, {4, 30, key}}, 3},
        {"slices in the wrong order", {{5, 20, key}, {4, 20, key}}, 4},
        {"parameter sets that come late", {{5, 20, key}, {4, 20, parameters}}, 4},
        {"parameter sets in the wrong order", {{5, 20, parameters}, {4, 20, parameters}, {6, 20, key}}, 4},
        {"a picture that comes late", {{3, 20, parameters}, {2, 10, picture}, {4, 20, key}}, 3},
        {"a key frame that comes late", {{9, 30, key}, {4, 20, key}}, 9},
    }));
    INFO(c.what);
    KeyFrames key_frames;
    std::optional<uint64_t> begin;
    for (const Seen& s : c.packets)
        if (const auto now = key_frames.see(s.part, s.number, s.timestamp)) begin = now;
    CHECK(begin == c.begin);
}
