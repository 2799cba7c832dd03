#pragma once
// Labels of tracks, paths and legs, and families that stand one after another.
#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

#include "control/mesh/mesh.hpp"
#include "control/metrics/family.hpp"

namespace penstock::metrics {

inline std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
    return out;
}

// stream="camera-1",track="video" and, begun, the label that each path or leg ends.
inline std::string labels_of(const mesh::Track& track) {
    return fmt::format("stream=\"{}\",track=\"{}\"", escaped(track.stream), track.name);
}

inline std::string labelled(std::string_view labels, std::string_view kind, std::string_view name) {
    std::string out;
    out.reserve(labels.size() + kind.size() + name.size() + 8);
    return out.append(labels).append(",").append(kind).append("=\"").append(name).append("\"");
}

inline void join(std::string& out, std::span<const Family> families) {
    size_t size = out.size();
    for (const Family& family : families) size += family.text().size();
    out.reserve(size);
    for (const Family& family : families) out += family.text();
}

}  // namespace penstock::metrics
