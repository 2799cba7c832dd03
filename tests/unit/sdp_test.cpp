#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "control/sdp/description.hpp"
#include "control/sdp/groups.hpp"

using namespace penstock;

namespace {

// RFC 8866 section 5, with lines of every type and some of none.
constexpr std::string_view kEverything =
    "v=0\r\n"
    "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\n"
    "s=Call to John Smith\r\n"
    "i=SDP Offer #1\r\n"
    "u=http://www.jdoe.example.com/home.html\r\n"
    "e=Jane Doe <jane@jdoe.example.com>\r\n"
    "p=+1 617 555-6011\r\n"
    "c=IN IP4 233.252.0.1/127/3\r\n"
    "b=AS:128\r\n"
    "t=3724394400 3724398000\r\n"
    "r=604800 3600 0 90000\r\n"
    "t=0 0\r\n"
    "z=3724394400 -1h\r\n"
    "k=prompt\r\n"
    "a=recvonly\r\n"
    "a=control:*\r\n"
    "y=unheard of\r\n"
    "m=audio 49170/2 RTP/AVP 0 97\r\n"
    "i=sound\r\n"
    "c=IN IP6 ff15::101/3\r\n"
    "b=X-YZ:5\r\n"
    "k=clear:x\r\n"
    "a=rtpmap:97 opus/48000/2\r\n"
    "a=fmtp:97 stereo=1; x=a:b\r\n"
    "w=neither\r\n"
    "m=application 9 DTLS/SCTP webrtc-datachannel\r\n";

sdp::Description right(std::string_view text) {
    auto d = sdp::parse(text);
    INFO((d ? "" : d.error().text));
    REQUIRE(d);
    return std::move(*d);
}
constexpr std::string_view kHead = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=x\r\nt=0 0\r\n";

}  // namespace

TEST_CASE("what is read can be written again, understood or not", "[sdp]") {
    const auto d = right(kEverything);
    CHECK(d.connection->ttl == 127);
    CHECK(d.connection->count == 3);
    CHECK(d.media.size() == 2);
    const sdp::Media& audio = d.media[0];
    CHECK(audio.port_count == 2);
    CHECK_FALSE(audio.connections[0].ttl);
    CHECK(audio.connections[0].count == 3);
    CHECK(audio.rtpmap("97") == "opus/48000/2");
    CHECK(audio.fmtp("97") == "stereo=1; x=a:b");
    CHECK_FALSE(audio.rtpmap("0"));
    CHECK(find(d.attributes, "control") == "*");
    CHECK(find(d.attributes, "recvonly") == "");
    CHECK_FALSE(find(d.attributes, "sendonly"));
    CHECK(d.others == std::vector<sdp::Line>{{'y', "unheard of"}});
    CHECK(sdp::write(d) == std::string(kEverything));
}

TEST_CASE("deviations that are let through", "[sdp]") {
    CHECK(right("v=0\no=- 1 1 IN IP4 10.0.0.1\ns=x\nt=0 0\n") == right(kHead));  // LF alone
    CHECK(right(std::string(kHead) + "\r\n\r\n") == right(kHead));               // an empty line at the end: FFmpeg
    CHECK_FALSE(right(std::string(kHead) + "c=IN \r\n").connection);             // cameras: no address
    CHECK(right(std::string(kHead) + "c=IN IPV4 1.2.3.4\r\n").connection->address_type == "IP4");
    CHECK(right("v=0\r\no=-\r\ns=\r\n").name == "-");
    CHECK(right("v=0\r\no=my camera 1 2 IN IP4 1.2.3.4\r\ns=x\r\n").origin ==
          sdp::Origin{"my_camera", "1", "2", "IN", "IP4", "1.2.3.4"});
    CHECK(right(std::string(kHead) + "b=\r\na=\r\nm=video 0 RTP/AVP 96\r\nt=0 0\r\n").media.size() == 1);
    CHECK(right(std::string(kHead) + "m=video 0 RTP/AVP 96\r\na=rtpmap: 96 H264/90000\r\n").media[0].rtpmap("96") ==
          "H264/90000");
    // GStreamer's rtspclientsink: five words would be an origin without a name; six are its own.
    CHECK(right("v=0\r\no=- 2572935061 1 IN IP4 10.77.0.3\r\ns=Session streamed with GStreamer\r\n").origin.address ==
          "10.77.0.3");
}

TEST_CASE("what is no description", "[sdp]") {
    for (const std::string_view text :
         {std::string_view(""), std::string_view("\r\n\r\n"), std::string_view("hello\r\n"),
          std::string_view("s=x\r\n"), std::string_view("v=1\r\n"), std::string_view("v=0\r\nhello\r\n"),
          std::string_view("v=0\r\nm=video\r\n"), std::string_view("v=0\r\nm=video 70000 RTP/AVP 0\r\n"),
          std::string_view("v=0\r\nm=video 1/x RTP/AVP 0\r\n"), std::string_view("v=0\r\nX=y\r\n"),
          std::string_view("v=0\r\ns=a\0b\r\n", 12)}) {
        INFO(text);
        CHECK_FALSE(sdp::parse(text));
    }
    CHECK_FALSE(sdp::parse("v=0\r\n" + std::string(sdp::kLongest, 'x')));
    std::string many(kHead);
    for (size_t i = 0; i <= sdp::kMostMedia; i++) many += "m=video 0 RTP/AVP 96\r\n";
    CHECK_FALSE(sdp::parse(many));
}

TEST_CASE("what could not be read again is not written", "[sdp]") {
    const auto refused = [](auto change) {
        sdp::Description d;
        d.media.push_back({});
        d.media[0].type = "video";
        d.media[0].formats = {"96"};
        REQUIRE(sdp::write(d));
        change(d);
        return !sdp::write(d);
    };
    CHECK(refused([](auto& d) { d.name = "a\r\nm=audio 1 RTP/AVP 0"; }));
    CHECK(refused([](auto& d) { d.name = ""; }));
    CHECK(refused([](auto& d) { d.origin.address = "1.2.3.4 x"; }));
    CHECK(refused([](auto& d) { d.attributes = {{"a:b", std::nullopt}}; }));
    CHECK(refused([](auto& d) { d.connection = sdp::Connection{"IN", "IP4", "239.1.1.1", std::nullopt, 3}; }));
    CHECK(refused([](auto& d) { d.connection = sdp::Connection{"IN", "IP6", "ff15::1", uint8_t{5}, 3}; }));
    CHECK(refused([](auto& d) { d.connection = sdp::Connection{"IN", "IP4", "239.1.1.1/3", std::nullopt, {}}; }));
    CHECK(refused([](auto& d) { d.others = {{'s', "x"}}; }));
    CHECK(refused([](auto& d) { d.media[0].formats.clear(); }));
    CHECK(refused([](auto& d) { d.media[0].type = ""; }));
}

TEST_CASE("copies and repair are told by groups", "[sdp]") {
    // As RFC 7104 section 4.2 has it, and an original with its repair (RFC 5956).
    const std::string text = std::string(kHead) +
                             "a=group:DUP S1a S1b\r\na=group:FEC-FR S1a R1\r\n"
                             "m=video 30000 RTP/AVP 100\r\na=rtpmap:100 MP2T/90000\r\na=mid:S1a\r\n"
                             "m=video 30002 RTP/AVP 100\r\na=rtpmap:100 MP2T/90000\r\na=mid:S1b\r\n"
                             "m=application 30004 RTP/AVP 110\r\na=rtpmap:110 flexfec/90000\r\na=mid:R1\r\n";
    const auto d = right(text);
    const auto groups = sdp::groups(d);
    REQUIRE(groups.size() == 2);
    CHECK(groups[0] == sdp::Group{"DUP", {"S1a", "S1b"}});
    CHECK(groups[1] == sdp::Group{"FEC-FR", {"S1a", "R1"}});
    CHECK(sdp::originals(d) == std::vector<std::optional<size_t>>{std::nullopt, 0u, std::nullopt});
    CHECK(sdp::repaired(d) == std::vector<std::optional<size_t>>{std::nullopt, std::nullopt, 0u});
    CHECK(sdp::attribute(groups[0]) == sdp::Attribute{"group", "DUP S1a S1b"});
    CHECK(sdp::attribute(sdp::SsrcGroup{"DUP", {1000, 1010}}) == sdp::Attribute{"ssrc-group", "DUP 1000 1010"});
}

TEST_CASE("what cannot be a copy is none", "[sdp]") {
    const auto originals = [](std::string_view groups, std::string_view second) {
        return sdp::originals(right(std::string(kHead) + std::string(groups) +
                                    "m=video 30000 RTP/AVP 100\r\na=rtpmap:100 MP2T/90000\r\na=mid:a\r\n" +
                                    std::string(second)));
    };
    constexpr std::string_view kSecond = "m=video 30002 RTP/AVP 100\r\na=rtpmap:100 MP2T/90000\r\na=mid:b\r\n";
    using All = std::vector<std::optional<size_t>>;
    CHECK(originals("a=group:DUP a b\r\n", kSecond) == All{std::nullopt, 0u});
    CHECK(originals("a=group:DUP b a\r\n", kSecond) == All{1u, std::nullopt});
    for (const std::string_view group :
         {"a=group:DUP\r\n", "a=group:DUP a\r\n", "a=group:DUP a a\r\n", "a=group:DUP a c\r\n", "a=group:LS a b\r\n"})
        CHECK(originals(group, kSecond) == All(2));
    CHECK(originals("a=group:DUP a b\r\n", "m=audio 1 RTP/AVP 100\r\na=rtpmap:100 MP2T/90000\r\na=mid:b\r\n") ==
          All(2));
    CHECK(originals("a=group:DUP a b\r\n", "m=video 1 RTP/AVP 100\r\na=rtpmap:100 H264/90000\r\na=mid:b\r\n") ==
          All(2));
    CHECK(originals("a=group:DUP a b\r\n", std::string(kSecond) + std::string(kSecond)) == All(3));
    // A chain: each medium is in one pair.
    CHECK(originals("a=group:DUP a b\r\na=group:DUP b a\r\n", kSecond) == All{std::nullopt, 0u});
}

TEST_CASE("what is not the repair of one medium, in a scheme that is decoded, is none", "[sdp]") {
    const auto repaired = [](std::string_view groups, std::string_view repair) {
        return sdp::repaired(right(std::string(kHead) + std::string(groups) +
                                   "m=video 1 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=mid:a\r\n"
                                   "m=audio 2 RTP/AVP 0\r\na=mid:b\r\n" +
                                   std::string(repair)));
    };
    constexpr std::string_view kRepair = "m=video 3 RTP/AVP 110\r\na=rtpmap:110 FlexFEC/90000\r\na=mid:r\r\n";
    using All = std::vector<std::optional<size_t>>;
    CHECK(repaired("a=group:FEC-FR a r\r\n", kRepair) == All{std::nullopt, std::nullopt, 0u});
    CHECK(repaired("a=group:FEC-FR r b\r\n", kRepair) == All{std::nullopt, std::nullopt, 1u});
    for (const std::string_view group : {"a=group:FEC-FR a\r\n", "a=group:FEC-FR r\r\n", "a=group:FEC-FR a b\r\n",
                                         "a=group:FEC-FR a b r\r\n", "a=group:FEC a r\r\n", "a=group:FEC-FR a x\r\n"})
        CHECK(repaired(group, kRepair) == All(3));
    CHECK(repaired("a=group:FEC-FR a r\r\n", "m=video 3 RTP/AVP 110\r\na=rtpmap:110 red/90000\r\na=mid:r\r\n") ==
          All(3));
    // Each medium has one.
    CHECK(repaired("a=group:FEC-FR a r\r\na=group:FEC-FR a s\r\n",
                   std::string(kRepair) + "m=video 4 RTP/AVP 122\r\na=rtpmap:122 ulpfec/90000\r\na=mid:s\r\n") ==
          All{std::nullopt, std::nullopt, 0u, std::nullopt});
}

TEST_CASE("ST 2022-1 goes by three names, its columns and rows by two media", "[sdp]") {
    const auto repaired = [](std::string_view groups, std::string_view name, std::string_view third = "") {
        return sdp::repaired(right(fmt::format(
            "{}{}"
            "m=video 30000 RTP/AVP 33\r\na=mid:S1\r\n"
            "m=application 30002 RTP/AVP 110\r\na=rtpmap:110 {}/90000\r\na=fmtp:110 L=5; D=10; repair-window=200000\r\n"
            "a=mid:R1\r\n"
            "m=application 30004 RTP/AVP 111\r\na=rtpmap:111 {}/90000\r\na=mid:R2\r\n{}",
            kHead, groups, name, name, third)));
    };
    using All = std::vector<std::optional<size_t>>;
    for (const std::string_view name :
         {"parityfec", "1d-interleaved-parityfec", "vnd.dvb.iptv.alfec-base", "ParityFEC"}) {
        // On one line, as RFC 5956 section 4.1 has what repairs together; or line by line.
        CHECK(repaired("a=group:FEC-FR S1 R1 R2\r\n", name) == All{std::nullopt, 0u, 0u});
        CHECK(repaired("a=group:FEC-FR S1 R1\r\na=group:FEC-FR S1 R2\r\n", name) == All{std::nullopt, 0u, 0u});
        CHECK(repaired("a=group:FEC-FR S1 R2\r\n", name) == All{std::nullopt, std::nullopt, 0u});
    }
    CHECK(repaired("a=group:FEC-FR S1 R1 R2\r\n", "x-fec") == All(3));
    // Two are enough, and of another scheme there is one.
    constexpr std::string_view kThird =
        "m=application 30006 RTP/AVP 112\r\na=rtpmap:112 parityfec/90000\r\na=mid:R3\r\n";
    CHECK(repaired("a=group:FEC-FR S1 R1 R2 R3\r\n", "parityfec", kThird) == All{std::nullopt, 0u, 0u, std::nullopt});
    CHECK(repaired("a=group:FEC-FR S1 R1 R2 R3\r\n", "flexfec", kThird) ==
          All{std::nullopt, 0u, std::nullopt, std::nullopt});
    CHECK(repaired("a=group:FEC-FR S1 R3 R1\r\n", "flexfec", kThird) ==
          All{std::nullopt, std::nullopt, std::nullopt, 0u});
}

TEST_CASE("packets that come twice to one port are told by a group of SSRCs", "[sdp]") {
    // RFC 7104 section 4.2; the delay is RFC 7197's.
    const auto duplicated = [](std::string_view attributes) {
        return sdp::duplicated(right(fmt::format("{}m=video 30000 RTP/AVP 100\r\nc=IN IP4 233.252.0.1/127\r\n"
                                                 "a=source-filter:incl IN IP4 233.252.0.1 198.51.100.1\r\na=rtpmap:100 "
                                                 "MP2T/90000\r\n{}a=mid:Ch1\r\n",
                                                 kHead, attributes))
                                   .media[0]);
    };
    CHECK(
        duplicated("a=ssrc:1000 cname:ch1a@example.com\r\na=ssrc:1010 cname:ch1a@example.com\r\n"
                   "a=ssrc-group:DUP 1000 1010\r\na=duplication-delay:50\r\n"));
    CHECK(duplicated("a=ssrc-group:FEC-FR 1000 2110\r\na=ssrc-group:DUP  1000\t1010\r\n"));
    for (const std::string_view other :
         {"", "a=ssrc-group:DUP\r\n", "a=ssrc-group\r\n", "a=ssrc-group:DUP 1000\r\n", "a=ssrc-group:DUP 7 7\r\n",
          "a=ssrc-group:DUP 1 2 3\r\n", "a=ssrc-group:DUP a b\r\n", "a=ssrc-group:FID 1000 1010\r\n",
          "a=ssrc-group:DUP 1 4294967296\r\n", "a=group:DUP 1000 1010\r\n"})
        CHECK_FALSE(duplicated(other));
}
