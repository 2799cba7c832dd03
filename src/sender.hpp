#pragma once
// The thread that writes to viewers over TCP: an Interleaver with its sockets and its clock. It takes from the workers'
// ring what they divert, and does what control asks it; what it has to say, control fetches.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "control/io/fd.hpp"
#include "control/rtsp/interleaver.hpp"
#include "flow/diverted.hpp"

namespace penstock {

class Sender {
public:
    using Task = std::function<void(rtsp::Interleaver&, Instant)>;

    static Result<std::unique_ptr<Sender>> open(flow::TakeDiverted take);
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    // Of control: done in this order by the thread, soon.
    void adopt(rtsp::ConnectionId id, std::shared_ptr<ByteSink> sink, std::string unsent);
    void forget(rtsp::ConnectionId id);
    void ask(Task task);

    std::vector<rtsp::Interleaver::Event> events();
    int descriptor() const noexcept { return told_.get(); }  // readable when there are events
    const rtsp::InterleaverCounters& counters() const noexcept { return interleaver_.counters(); }

private:
    Sender(flow::TakeDiverted take, io::Fd epoll, io::Fd asked, io::Fd told);
    void run();
    void do_tasks();
    void work();
    void tell();
    void tell(const rtsp::Interleaver::Event& event);

    const flow::TakeDiverted take_;
    const io::Fd epoll_, asked_, told_;
    std::mutex mutex_;  // of what is handed over: held for moments
    std::vector<Task> tasks_;
    std::atomic<bool> any_tasks_{false}, stopping_{false};
    std::vector<rtsp::Interleaver::Event> events_;
    // The thread's alone, counters apart.
    rtsp::Interleaver interleaver_;
    std::map<rtsp::ConnectionId, int> sockets_;
    std::thread thread_;
};

}  // namespace penstock
