#include "control/io/next_hops.hpp"

#include <fmt/format.h>
#include <linux/neighbour.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace penstock::io {
namespace {

using namespace std::chrono_literals;

// A change of routes comes as many messages. A slice of 500 lookups takes some milliseconds, so the loop stays free for
// other work however fast the routes change, and 10,000 destinations are asked within half a second.
constexpr Duration kRouteDelay = 20ms;
constexpr size_t kRoutesPerTurn = 500;

// The kernel's table holds 1024 neighbours by default (gc_thresh3): do not fill it with those that do not answer.
constexpr Duration kAskAgain = 1s;
constexpr size_t kAsksPerTurn = 256;

}  // namespace

Result<std::unique_ptr<NextHops>> NextHops::open(EventLoop& loop, Log& log, std::vector<flow::PortInfo> ports,
                                                 OnChange on_change, OnNetdev on_netdev) {
    auto kernel = Kernel::open();
    if (!kernel) return std::unexpected(kernel.error());
    auto events = NetlinkEvents::open();  // before the dump: what changes during it is told again
    if (!events) return std::unexpected(events.error());
    auto view = kernel->view();
    if (!view) return std::unexpected(view.error());
    return std::unique_ptr<NextHops>{new NextHops(loop, log, std::move(ports), std::move(on_change),
                                                  std::move(on_netdev), std::move(*kernel), std::move(*events),
                                                  std::move(*view))};
}

NextHops::NextHops(EventLoop& loop, Log& log, std::vector<flow::PortInfo> ports, OnChange on_change, OnNetdev on_netdev,
                   Kernel kernel, NetlinkEvents events, KernelView view)
    : loop_(loop),
      log_(log),
      ports_(std::move(ports)),
      on_change_(std::move(on_change)),
      on_netdev_(std::move(on_netdev)),
      kernel_(std::move(kernel)),
      events_(std::move(events)),
      view_(std::move(view)),
      watch_(loop.watch(events_.fd(), [this] { on_events(); })),
      ask_timer_(loop.every(kAskAgain, [this] { ask_again(); })) {}

void NextHops::want(const flow::Destination& destination) {
    if (wanted_[destination].references++ > 0) return;
    fresh_.push_back(destination);
    if (!fresh_timer_) fresh_timer_ = loop_.at(Clock::now(), [this] { answer_fresh(); });
}

void NextHops::forget(const flow::Destination& destination) {
    const auto wanted = wanted_.find(destination);
    if (wanted == wanted_.end() || --wanted->second.references > 0) return;
    if (const auto& neighbour = wanted->second.way.neighbour) users_.erase({*neighbour, destination});
    wanted_.erase(wanted);
}

std::vector<Ip> NextHops::addresses(const std::string& netdev) const {
    std::vector<Ip> ips;
    if (const Link* link = view_.link(netdev))
        for (const Address& address : view_.addresses(link->index)) ips.push_back(address.ip);
    return ips;
}

std::optional<Mac> NextHops::mac(const std::string& netdev) const {
    const Link* link = view_.link(netdev);
    return link == nullptr ? std::nullopt : std::optional{link->mac};
}

std::string NextHops::why_down(const std::string& netdev) const {
    const Link* link = view_.link(netdev);
    if (link == nullptr) return fmt::format("interface {} is gone", netdev);
    if (!link->up) return fmt::format("interface {} is down: ip link set {} up", netdev, netdev);
    if (!link->carrier) return fmt::format("interface {} has no carrier", netdev);
    return {};
}

unsigned NextHops::index(const std::string& netdev) const {
    const Link* link = view_.link(netdev);
    return link == nullptr ? 0 : static_cast<unsigned>(link->index);
}

void NextHops::answer_fresh() {
    fresh_timer_ = {};
    for (size_t i = 0; i < kRoutesPerTurn && !fresh_.empty(); i++) {
        const flow::Destination destination = fresh_.front();
        fresh_.pop_front();
        find_way(destination);
    }
    if (!fresh_.empty() && !fresh_timer_) fresh_timer_ = loop_.at(Clock::now(), [this] { answer_fresh(); });
}

void NextHops::on_events() {
    std::set<NeighbourKey> neighbours;
    std::set<std::string> netdevs;
    bool routes = false;
    const bool complete = events_.receive([&](const nlmsghdr& message) {
        const Change change = view_.apply(message);
        routes |= change.routes;
        if (change.neighbour) neighbours.insert(*change.neighbour);
        if (!change.netdev.empty()) netdevs.insert(change.netdev);
    });
    if (routes) routes_changed();
    for (const NeighbourKey& neighbour : neighbours) {
        std::vector<flow::Destination> users;  // a copy: telling may change who they are
        for (auto it = users_.lower_bound({neighbour, {}}); it != users_.end() && it->first == neighbour; ++it)
            users.push_back(it->second);
        for (const flow::Destination& user : users) tell(user);
    }
    for (const std::string& netdev : netdevs) tell_netdev(netdev);
    if (!complete) {
        log_.warning(
            "the kernel had more to say of routes and neighbours than there was room for: asking for all of it");
        view_anew();
    }
}

void NextHops::view_anew() {
    auto view = kernel_.view();
    view_outdated_ = !view;
    if (!view) return log_.error("{}; trying again", view.error().text);
    std::swap(view_, *view);
    for (const flow::PortInfo& port : ports_) {
        const Link* before = view->link(port.netdev);
        const Link* now = view_.link(port.netdev);
        const bool same = before == nullptr || now == nullptr
                              ? before == now
                              : before->index == now->index && before->mac == now->mac &&
                                    view->addresses(before->index) == view_.addresses(now->index);
        if (!same) tell_netdev(port.netdev);
    }
    routes_changed();
}

void NextHops::routes_changed() {
    routes_to_ask_ = wanted_.size();
    if (!route_timer_) route_timer_ = loop_.at(Clock::now() + kRouteDelay, [this] { ask_routes(); });
}

void NextHops::ask_routes() {
    route_timer_ = {};
    for (size_t i = std::min(kRoutesPerTurn, routes_to_ask_); i > 0 && !wanted_.empty(); i--) {
        auto next = wanted_.upper_bound(last_route_);
        if (next == wanted_.end()) next = wanted_.begin();
        last_route_ = next->first;
        routes_to_ask_--;
        find_way(last_route_);
    }
    if (routes_to_ask_ > 0 && !wanted_.empty())
        route_timer_ = loop_.at(Clock::now() + kRouteDelay, [this] { ask_routes(); });
}

void NextHops::find_way(flow::Destination destination) {
    const auto found = wanted_.find(destination);
    if (found == wanted_.end()) return;  // forgotten meanwhile
    Way& way = found->second.way;
    if (way.neighbour) users_.erase({*way.neighbour, destination});
    way = way_to(destination, ports_, view_, [this](const Ip& to, int by) { return kernel_.route(to, by); });
    if (way.neighbour) users_.emplace(*way.neighbour, destination);
    tell(destination);
}

void NextHops::tell(flow::Destination destination) {
    const auto found = wanted_.find(destination);
    if (found == wanted_.end()) return;
    const flow::Resolution resolution = resolve(found->second.way);
    if (found->second.told == resolution) return;
    found->second.told = resolution;
    if (resolution.hop)
        log_.debug("{} is reached by {}, source {}", destination.ip.text(), resolution.hop->mac.text(),
                   resolution.hop->source.text());
    else
        log_.debug("{} cannot be reached: {}", destination.ip.text(), resolution.why_not);
    on_change_(destination, resolution);
}

flow::Resolution NextHops::resolve(const Way& way) {
    if (!way.why_not.empty()) return {.hop = std::nullopt, .why_not = way.why_not};
    if (!way.neighbour) return {.hop = way.hop, .why_not = ""};
    const NeighbourKey key = *way.neighbour;
    const Neighbour* neighbour = view_.neighbour(key);
    if (neighbour == nullptr || !neighbour->usable()) {
        if (unanswered_.insert(key).second) use(key);
        const Link* link = view_.link(key.index);
        return {.hop = std::nullopt,
                .why_not = fmt::format("neighbour {} on {} does not answer", key.ip.text(),
                                       link != nullptr ? link->name : "an interface that is gone")};
    }
    unanswered_.erase(key);
    flow::NextHop hop = way.hop;
    hop.mac = *neighbour->mac;
    if (neighbour->state == NUD_STALE) {
        // The kernel makes sure of a stale neighbour only when it sends to it itself. Our packets pass it by, and no
        // TCP acknowledgement confirms them, so without this a neighbour that died or moved would never be noticed.
        use(key);
        view_.delay(key);
    }
    return {.hop = hop, .why_not = ""};
}

void NextHops::ask_again() {
    if (view_outdated_) view_anew();
    for (size_t i = std::min(kAsksPerTurn, unanswered_.size()); i > 0; i--) {
        auto next = unanswered_.upper_bound(last_asked_);
        if (next == unanswered_.end()) next = unanswered_.begin();
        last_asked_ = *next;
        const auto user = users_.lower_bound({last_asked_, {}});
        if (user == users_.end() || user->first != last_asked_) {
            unanswered_.erase(next);  // nobody wants it any more
        } else if (use(last_asked_) == ENOBUFS) {
            log_.warning("the kernel has no room for neighbour {}: raise net.{}.neigh.default.gc_thresh3",
                         last_asked_.ip.text(), last_asked_.ip.is_v4() ? "ipv4" : "ipv6");
            return;
        }
    }
}

int NextHops::use(const NeighbourKey& neighbour) {
    const int error = kernel_.use(neighbour);
    // Most likely the interface went down or away, and its notification is on the way.
    if (error != 0) log_.debug("cannot ask for neighbour {}: {}", neighbour.ip.text(), std::strerror(error));
    return error;
}

void NextHops::tell_netdev(const std::string& netdev) {
    if (std::ranges::any_of(ports_, [&](const flow::PortInfo& port) { return port.netdev == netdev; }))
        on_netdev_(netdev);
}

}  // namespace penstock::io
