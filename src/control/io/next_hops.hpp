#pragma once
// How to reach each wanted destination, from the kernel's routes and neighbours, followed as they change. main makes
// one, the model says what it wants and hears the answers. Everything runs on the control thread, from its loop.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "control/io/event_loop.hpp"
#include "control/io/kernel.hpp"
#include "control/io/kernel_view.hpp"
#include "control/io/netlink.hpp"
#include "control/io/way.hpp"
#include "flow/next_hop.hpp"
#include "flow/port.hpp"

namespace penstock::io {

class NextHops {
public:
    // Called from the loop, never from within want(): with the first answer and with every other one after it. May call
    // want() and forget().
    using OnChange = std::function<void(const flow::Destination&, const flow::Resolution&)>;
    // The twin of a port came, went, or has other addresses or another MAC.
    using OnNetdev = std::function<void(const std::string& netdev)>;

    static Result<std::unique_ptr<NextHops>> open(EventLoop& loop, Log& log, std::vector<flow::PortInfo> ports,
                                                  OnChange on_change, OnNetdev on_netdev);

    void want(const flow::Destination& destination);  // counted: as many forget()s end it
    void forget(const flow::Destination& destination);

    std::vector<Ip> addresses(const std::string& netdev) const;
    std::optional<Mac> mac(const std::string& netdev) const;
    // Why the interface cannot carry packets now; empty: it can.
    std::string why_down(const std::string& netdev) const;
    unsigned index(const std::string& netdev) const;  // 0: there is no such interface

private:
    struct Wanted {
        unsigned references = 0;
        Way way;
        std::optional<flow::Resolution> told;
    };

    NextHops(EventLoop& loop, Log& log, std::vector<flow::PortInfo> ports, OnChange on_change, OnNetdev on_netdev,
             Kernel kernel, NetlinkEvents events, KernelView view);

    void answer_fresh();
    void on_events();
    void view_anew();
    void routes_changed();
    void ask_routes();
    void find_way(flow::Destination destination);
    void tell(flow::Destination destination);
    flow::Resolution resolve(const Way& way);
    void ask_again();
    int use(const NeighbourKey& neighbour);
    void tell_netdev(const std::string& netdev);

    EventLoop& loop_;
    Log& log_;
    const std::vector<flow::PortInfo> ports_;
    const OnChange on_change_;
    const OnNetdev on_netdev_;
    Kernel kernel_;
    NetlinkEvents events_;
    KernelView view_;
    bool view_outdated_ = false;  // a dump failed: try again

    std::map<flow::Destination, Wanted> wanted_;
    std::set<std::pair<NeighbourKey, flow::Destination>> users_;  // who needs a neighbour
    std::set<NeighbourKey> unanswered_;
    NeighbourKey last_asked_;              // of unanswered_: they take turns
    std::deque<flow::Destination> fresh_;  // wanted, no route asked yet
    size_t routes_to_ask_ = 0;             // how many of wanted_ are still to be asked again, after last_route_
    flow::Destination last_route_;

    EventLoop::Watch watch_;
    EventLoop::Timer fresh_timer_;
    EventLoop::Timer route_timer_;
    EventLoop::Timer ask_timer_;
};

}  // namespace penstock::io
