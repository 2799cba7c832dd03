#include "control/sdp/groups.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.hpp"
#include "control/sdp/track.hpp"

namespace penstock::sdp {

using rtp::fec::Scheme;

namespace {

// "DUP S1a S1b" word by word.
std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> all;
    while (!(text = trimmed(text)).empty()) {
        const size_t end = text.find_first_of(" \t");
        all.push_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end);
    }
    return all;
}

// The only medium with this a=mid.
std::optional<size_t> medium(const Description& description, std::string_view mid) {
    std::optional<size_t> found;
    for (size_t m = 0; m < description.media.size(); m++) {
        if (find(description.media[m].attributes, "mid") != mid) continue;
        if (found) return std::nullopt;
        found = m;
    }
    return found;
}

bool alike(const Media& a, const Media& b) {
    return a.type == b.type && a.formats == b.formats && !a.formats.empty() &&
           a.rtpmap(a.formats[0]) == b.rtpmap(b.formats[0]);
}

}  // namespace

std::vector<Group> groups(const Description& description) {
    std::vector<Group> all;
    for (const Attribute& a : description.attributes) {
        if (a.name != "group" || !a.value) continue;
        const auto w = words(*a.value);
        if (w.empty()) continue;
        all.push_back({std::string(w[0]), {w.begin() + 1, w.end()}});
    }
    return all;
}

Attribute attribute(const Group& group) {
    return {"group", fmt::format("{} {}", group.semantics, fmt::join(group.mids, " "))};
}

Attribute attribute(const SsrcGroup& group) {
    return {"ssrc-group", fmt::format("{} {}", group.semantics, fmt::join(group.ssrcs, " "))};
}

std::vector<std::optional<size_t>> originals(const Description& description) {
    std::vector<std::optional<size_t>> of(description.media.size());
    for (const Group& group : groups(description)) {
        // Two copies are what a track has paths for: the first that is listed, which is to be sent first, and the next.
        if (group.semantics != kDuplicates || group.mids.size() < 2) continue;
        const auto first = medium(description, group.mids[0]), second = medium(description, group.mids[1]);
        if (!first || !second || *first == *second || of[*first] || of[*second]) continue;
        if (!alike(description.media[*first], description.media[*second])) continue;
        const bool taken = std::find(of.begin(), of.end(), std::optional(*first)) != of.end() ||
                           std::find(of.begin(), of.end(), std::optional(*second)) != of.end();
        if (!taken) of[*second] = *first;
    }
    return of;
}

std::vector<std::optional<size_t>> repaired(const Description& description) {
    const auto& media = description.media;
    std::vector<std::optional<size_t>> of(media.size());
    const auto repair_of = [&](size_t m) {
        return media[m].formats.empty() ? std::nullopt : repair_in(media[m], media[m].formats[0]);
    };
    // ST 2022-1 sends columns and rows to ports of their own, and so in media of their own.
    const auto may_repair = [&](size_t source, size_t by) {
        size_t others = 0;
        for (size_t m = 0; m < of.size(); m++) {
            if (of[m] != source) continue;
            others++;
            if (repair_of(m)->scheme != Scheme::st2022_1) return false;
        }
        return !of[by] && (others == 0 || (others == 1 && repair_of(by)->scheme == Scheme::st2022_1));
    };
    for (const Group& group : groups(description)) {
        if (group.semantics != kRepair) continue;
        std::vector<size_t> sources, repair;
        for (const std::string& mid : group.mids)
            if (const auto m = medium(description, mid)) (repair_of(*m) ? repair : sources).push_back(*m);
        if (sources.size() != 1) continue;  // repair of several media at once is beyond our decoders
        for (const size_t m : repair)
            if (may_repair(sources[0], m)) of[m] = sources[0];
    }
    return of;
}

bool duplicated(const Media& media) {
    return std::ranges::any_of(media.attributes, [](const Attribute& a) {
        if (a.name != "ssrc-group" || !a.value) return false;
        const auto w = words(*a.value);
        return w.size() == 3 && w[0] == kDuplicates && number<uint32_t>(w[1]) && number<uint32_t>(w[2]) && w[1] != w[2];
    });
}

}  // namespace penstock::sdp
