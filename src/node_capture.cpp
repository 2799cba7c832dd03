// The running forwarder's captures: one at a time. Workers copy into rings, a thread of its own writes the file.
#include <fmt/format.h>

#include <chrono>

#include "control/capture/options.hpp"
#include "control/capture/select.hpp"
#include "node.hpp"
#include "version.hpp"

namespace penstock {

using cli::Action;

Result<std::string> Node::start_capture(const cli::Command& command) {
    follow_capture();  // the last one may have ended just now
    if (capture_ && capture_->progress().running)
        return fail(fmt::format("a capture of {} into {} runs: one at a time; capture stop ends it",
                                capture_->plan().what, capture_->plan().file));
    const bool of_stream = command.action == Action::capture_stream;
    const size_t words = of_stream ? 1 : 0;
    const auto options =
        capture::parse_options(command.arguments.size() > words ? command.arguments[words] : std::string_view());
    if (!options) return fail(options.error().text);
    const mesh::Stream* stream = of_stream ? mesh_->stream(command.arguments[0]) : nullptr;
    if (of_stream && stream == nullptr)
        return fail(fmt::format("there is no stream '{}'; try show stream all", command.arguments[0]));
    auto selected = of_stream ? capture::select(*stream, *options) : capture::select_drops(*mesh_, *options);
    if (!selected) return fail(selected.error().text);

    const auto now = std::chrono::system_clock::now().time_since_epoch();
    capture::Plan plan;
    plan.anchor = dataplane::clock_now();
    plan.anchor_unix = static_cast<uint64_t>(std::chrono::nanoseconds(now).count());
    plan.number = capture_ ? capture_->plan().number + 1 : 1;
    plan.what = selected->what;
    plan.file = !options->file.empty()
                    ? options->file
                    : capture::default_file(of_stream ? stream->settings.name : "drops",
                                            std::chrono::duration_cast<std::chrono::seconds>(now).count());
    plan.count = options->count;
    plan.rate = options->rate;
    plan.application = fmt::format("penstock {}", kVersion);
    for (const auto& port : dataplane_->ports()) plan.interfaces.push_back({port->info().name, port->driver_name()});
    plan.interfaces.push_back({"tcp", "RTP that came by TCP, behind headers that penstock wrote"});
    plan.labels = std::move(selected->labels);
    for (size_t w = 0; w < dataplane_->workers().size(); w++)
        plan.taps.push_back(std::make_shared<flow::CaptureTap>(selected->filter, options->rate));

    auto capture = std::make_unique<flow::Capture>();
    capture->number = ++captures_;
    capture->taps = plan.taps;
    dataplane_->capture(std::move(capture));
    capture_ = std::make_unique<capture::Writer>(std::move(plan));
    log_.info("capture {}: {} into {}, {} packets", capture_->plan().number, capture_->plan().what,
              capture_->plan().file, capture_->plan().count);
    return fmt::format("capturing {} packets of {} into {}", capture_->plan().count, capture_->plan().what,
                       capture_->plan().file);
}

Result<std::string> Node::stop_capture() {
    if (!capture_ || !capture_->progress().running) return fail("no capture runs");
    capture_->stop();
    return "the capture stops";
}

// When a capture has ended the workers forget it.
void Node::follow_capture() {
    if (!capture_ || captures_ % 2 == 0) return;
    const capture::Progress progress = capture_->progress();
    if (progress.running) return;
    auto none = std::make_unique<flow::Capture>();
    none->number = ++captures_;
    dataplane_->capture(std::move(none));
    const auto line = fmt::format("capture {}: {}; {} packets in {}, missed {} by the rate and {} by a slow disk",
                                  capture_->plan().number, progress.ending, progress.packets, capture_->plan().file,
                                  progress.missed_by_rate, progress.missed_by_ring);
    progress.failed ? log_.error("{}", line) : log_.info("{}", line);
}

// For a client that waits: NUMBER and `running PACKETS`, `done` or `failed WHY`; nothing when there never was one.
io::ControlSocket::Reply Node::capture_progress() const {
    if (!capture_) return {true, ""};
    const capture::Progress now = capture_->progress();
    const std::string state = now.running  ? fmt::format("running {}", now.packets)
                              : now.failed ? fmt::format("failed {}", now.ending)
                                           : std::string("done");
    return {true, fmt::format("{} {}\n", capture_->plan().number, state)};
}

}  // namespace penstock
