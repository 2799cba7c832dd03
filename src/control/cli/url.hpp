#pragma once
// A source or output as an operator writes it on one line:
// rtp://10.0.1.20:6000?track=video&ttl=16&port=wan&fec=st2022-1. Pure.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace penstock::cli {

struct Url {
    std::string rtp;                                           // what stands between rtp:// and the question mark
    std::string track;                                         // empty: not said
    std::vector<std::pair<std::string, std::string>> options;  // the others, as given

    std::string yaml() const;  // as an entry of `sources` or `outputs`, for config to judge
};

Result<Url> parse_url(std::string_view url);

// What `add stream` is given, as in the file: "rtsp://10.0.0.7/live transport=tcp" is {rtsp: {url: .., transport: ..}},
// and all else stands as it is.
std::string stream_settings(std::string_view text);

}  // namespace penstock::cli
