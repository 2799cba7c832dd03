#pragma once
// Which packets an operator means: from the words of a command and the model to a filter for the workers. Pure.
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "control/capture/options.hpp"
#include "control/mesh/mesh.hpp"
#include "flow/capture.hpp"

namespace penstock::capture {

struct Selection {
    std::shared_ptr<const flow::CaptureFilter> filter;
    std::vector<std::string> labels;  // by CaptureFilter::Entry::subject: "stream camera-1, track video, path 1"
    std::string what;                 // all of it, for people: "stream camera-1, path 1"
};

// Of one stream.
Result<Selection> select(const mesh::Stream& stream, const Options& options);
// What is dropped anywhere: of every stream, and what belongs to none.
Result<Selection> select_drops(const mesh::Mesh& mesh, const Options& options);

}  // namespace penstock::capture
