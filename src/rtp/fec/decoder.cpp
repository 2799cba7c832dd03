#include "rtp/fec/decoder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/wire.hpp"
#include "rtp/header.hpp"

namespace penstock::rtp::fec {
namespace {

// Calls `f(i)` for each bit of `set`.
template <class F>
void for_each_bit(uint64_t set, F f) noexcept {
    for (; set != 0; set &= set - 1) f(static_cast<unsigned>(std::countr_zero(set)));
}

}  // namespace

Decoder::Decoder(size_t largest, std::optional<uint8_t> payload_type, uint32_t window)
    : payload_type_(payload_type),
      window_(window),
      largest_(largest),
      xor_(fastest_xor()),
      there_(window / 64),
      sizes_(window),
      packets_(window, kLead + largest),
      sums_(kEquations + 1, kLead + largest),
      renumbering_(-1, kRemembered) {}

bool Decoder::media(std::span<const std::byte> packet) noexcept {
    if (packet.size() > largest_) return true;
    bool known_already = false;
    const auto number = place(packet, known_already);
    if (known_already) return *number < start_;  // what came before the start was not given out
    if (!number) return true;
    if (*number > numbering_.newest()) advance(*number);
    if (!within(*number)) return true;  // too late to be of use here
    keep(*number, packet);
    if (*number <= last_pending_) known(*number);
    ready_ |= early_;
    early_ = 0;
    return true;
}

void Decoder::fetch(std::span<const std::byte> packet) const noexcept {
    fetch_lines<true>(packets_[numbering_.nearest(wire::load16(&packet[2])) % window_], kLead + packet.size());
}

// The number of a packet, of a source that restarted also. None: a stray.
std::optional<uint64_t> Decoder::place(std::span<const std::byte> packet, bool& known_already) noexcept {
    const uint16_t sequence = wire::load16(&packet[2]);
    const uint32_t ssrc = wire::load32(&packet[8]);
    const uint64_t newest_before = numbering_.newest();
    auto place = numbering_.place(sequence, ssrc);
    if (!place) return std::nullopt;
    if (!place->restarted && there(place->number)) {
        known_already = timestamp(place->number) == wire::load32(&packet[4]);
        if (known_already) return place->number;
        place = numbering_.restart(sequence, ssrc);
    }
    if (place->restarted) restart(newest_before);
    return place->number;
}

// A repair packet among the media takes a number that no media packet will have. Where it came in order, what follows
// closes up; what was sent on already stays as it is.
void Decoder::occupy(std::span<const std::byte> packet) noexcept {
    bool known_already = false;
    const auto number = place(packet, known_already);
    if (!number || known_already) return;
    if (*number >= numbering_.newest()) {
        renumbers_ = true;
        renumbering_.step_after(*number);
    }
    if (*number > numbering_.newest()) advance(*number);
    if (!within(*number)) return;
    keep(*number, packet.first(kMediaHeader));
    sizes_[*number % window_] = 0;  // no member of any sum
    if (*number <= last_pending_) known(*number);
    ready_ |= early_;
    early_ = 0;
}

std::span<const std::byte> Decoder::renumbered(std::span<const std::byte> packet) noexcept {
    std::byte* const to = sums_[kEquations] + kLead;
    std::memcpy(to, packet.data(), packet.size());
    wire::store16(to + 2, renumbered(wire::load16(&packet[2])));
    return {to, packet.size()};
}

void Decoder::repair(const Carriage& carriage, std::span<const std::byte> packet) noexcept {
    if (carriage.among_media) occupy(packet);
    const auto parsed = parse_repair(carriage, packet);
    if (!parsed || parsed->body.size() > largest_ - kMediaHeader) return counters_.refused.add();
    counters_.repair[static_cast<size_t>(parsed->header.line)].add();
    if (!numbering_.started() || (parsed->ssrc && *parsed->ssrc != numbering_.ssrc()) ||
        of_former_life(wire::load32(&packet[4])))
        return counters_.useless.add();
    Equation equation{.first = numbering_.nearest(parsed->header.members.base),
                      .header = parsed->header,
                      .unknown = 0,
                      .size = static_cast<uint32_t>(parsed->body.size())};
    const uint64_t newest = std::max(numbering_.newest(), equation.last());
    if (equation.first + window_ <= newest || newest > numbering_.newest() + window_ / 2)
        return counters_.useless.add();
    equation.each([&](uint64_t n) {
        if (there(n)) return;
        equation.unknown++;
        equation.unknown_sum += n;
    });
    if (equation.unknown == 0) return counters_.unneeded.add();

    bool twice = false;
    for_each_bit(pending_, [&](unsigned i) {
        const Equation& other = equations_[i];
        twice |= other.first == equation.first && other.members() == equation.members();
    });
    if (twice) return counters_.useless.add();
    const unsigned i = place_for_equation();
    std::memcpy(sums_[i] + kLead + kMediaHeader, parsed->body.data(), equation.size);
    equations_[i] = equation;
    pending_ |= uint64_t{1} << i;
    if (equation.unknown == 1) ready_ |= uint64_t{1} << i;
    last_pending_ = std::max(last_pending_, equation.last());
}

std::optional<std::span<const std::byte>> Decoder::solve() noexcept {
    while (ready_ != 0) {
        const auto i = static_cast<unsigned>(std::countr_zero(ready_));
        const uint64_t number = equations_[i].unknown_sum;
        if (number > numbering_.newest()) {
            early_ |= uint64_t{1} << i;
            ready_ &= ~(uint64_t{1} << i);
            continue;
        }
        const auto solution = solve(i);
        forget(i);
        if (!solution) continue;
        const auto packet = keep(number, *solution);
        known(number);
        if (number < start_) continue;  // of use to other equations, but no receiver waits for it
        counters_.recovered.add();
        return packet;
    }
    return {};
}

// The sum of the repair packet and all members but one is that one, made where the repair packet lies. What cannot be
// is refused: a length that the bodies do not have, bytes beyond it, a header that is not RTP, a timestamp from another
// time.
std::optional<std::span<const std::byte>> Decoder::solve(unsigned i) noexcept {
    const Equation& equation = equations_[i];
    if (!alive(equation)) {
        counters_.useless.add();
        return {};
    }
    std::byte* const packet = sums_[i] + kLead;
    std::byte* const body = packet + kMediaHeader;
    FieldSum fields = equation.header.fields;
    uint32_t neighbour = 0;
    bool fits = true;
    equation.each([&](uint64_t n) {
        if (n == equation.unknown_sum) return;
        const auto member = kept(n);
        fits = fits && !member.empty();  // it is a repair packet
        if (!fits) return;
        const auto of_member = FieldSum::of(member);
        fits = fits && of_member.length <= equation.size;
        xor_.one(body, member.data() + kMediaHeader, std::min<size_t>(of_member.length, equation.size));
        fields.add(of_member);
        neighbour = of_member.timestamp;
    });
    fits = fits && fields.length <= equation.size;
    if (fits) {
        const std::span rest{body + fields.length, equation.size - fields.length};
        write_media_header(packet, fields, static_cast<uint16_t>(equation.unknown_sum), numbering_.ssrc());
        fits = std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; }) &&
               (equation.members().single() || near(fields.timestamp, neighbour)) &&
               (!payload_type_ || *payload_type_ == (fields.flags & 0x7f)) &&
               Header::parse({packet, kMediaHeader + fields.length}).has_value();
    }
    if (!fits) {
        counters_.refused.add();
        return {};
    }
    return std::span<const std::byte>{packet, kMediaHeader + fields.length};
}

// A source that restarted may use numbers again that repair packets of its former life, still on their way, speak of.
// They carry the media's clock, RFC 2733 has it; with an encoder that does not keep to that, repair begins a window
// late.
bool Decoder::of_former_life(uint32_t timestamp) const noexcept {
    return restarted_ && numbering_.newest() < start_ + window_ &&
           !near(timestamp, this->timestamp(numbering_.newest()));
}

void Decoder::restart(uint64_t newest_before) noexcept {
    if (start_ != 0) {
        restarted_ = true;
        counters_.restarts.add();
        counters_.useless.add(static_cast<uint64_t>(std::popcount(pending_)));
        uint64_t lost = 0;
        for (uint64_t n = std::max(start_, newest_before - window_ + 1); n <= newest_before; n++)
            lost += bit(n) ? 0 : 1;
        counters_.unrecovered.add(lost);
    }
    pending_ = ready_ = early_ = last_pending_ = 0;
    std::ranges::fill(there_, 0);
    start_ = numbering_.newest();
    renumbering_.forget();
}

// What is overwritten then, and never came, is lost for good.
void Decoder::advance(uint64_t to) noexcept {
    uint64_t lost = 0;
    for (uint64_t n = numbering_.newest() + 1; n <= to; n++) {
        if (n >= start_ + window_ && !bit(n)) lost++;  // n - window_
        clear(n);
    }
    numbering_.advance(to);
    if (lost != 0) [[unlikely]]
        counters_.unrecovered.add(lost);
}

std::span<const std::byte> Decoder::keep(uint64_t number, std::span<const std::byte> packet) noexcept {
    set(number);
    sizes_[number % window_] = static_cast<uint16_t>(packet.size());
    std::memcpy(packets_[number % window_] + kLead, packet.data(), packet.size());
    return kept(number);
}

// One unknown less in each equation that the packet is a member of.
void Decoder::known(uint64_t number) noexcept {
    for_each_bit(pending_, [&](unsigned i) {
        Equation& equation = equations_[i];
        if (!equation.has(number)) return;
        equation.unknown--;
        equation.unknown_sum -= number;
        if (equation.unknown == 1) ready_ |= uint64_t{1} << i;
        if (equation.unknown != 0) return;
        counters_.unneeded.add();
        forget(i);
    });
}

unsigned Decoder::place_for_equation() noexcept {
    for_each_bit(pending_, [&](unsigned i) {
        if (alive(equations_[i])) return;
        counters_.useless.add();
        forget(i);
    });
    if (~pending_ != 0) return static_cast<unsigned>(std::countr_one(pending_));
    unsigned oldest = 0;
    for (unsigned i = 1; i < kEquations; i++)
        if (equations_[i].first < equations_[oldest].first) oldest = i;
    counters_.useless.add();
    forget(oldest);
    return oldest;
}

void Decoder::forget(unsigned equation) noexcept {
    pending_ &= ~(uint64_t{1} << equation);
    ready_ &= pending_;
    early_ &= pending_;
}

}  // namespace penstock::rtp::fec
