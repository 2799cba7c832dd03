#include "control/config/fec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "rtp/fec/ulpfec.hpp"

namespace penstock::config {
namespace {

using rtp::fec::Code;
using rtp::fec::Matrix;
using rtp::fec::Scheme;

constexpr Name<Scheme> kSchemes[] = {
    {"st2022-1", Scheme::st2022_1}, {"flexfec", Scheme::flexfec}, {"ulpfec", Scheme::ulpfec}};

// What a scheme allows of a matrix.
struct Limits {
    uint8_t columns, columns_2d, rows;  // at least
    unsigned packets;                   // at most
};
constexpr Limits limits_of(Scheme scheme) {
    switch (scheme) {
        case Scheme::flexfec: return {1, 2, 2, Matrix::kMaxPackets};
        // A column, and the repair of others between its packets, has to fit the mask.
        case Scheme::ulpfec: return {1, 0, 2, 40};
        case Scheme::st2022_1: break;
    }
    return {1, 4, 4, Matrix::kMaxPackets};
}
static_assert(limits_of(Scheme::ulpfec).packets + Matrix::kMaxLine / 4 < rtp::fec::kUlpfecMost);

struct Carried {
    rtp::fec::Carriage carriage;
    uint16_t port;
};

std::optional<uint16_t> number(std::string_view text) {
    uint16_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

// `same`, +N or a number, as distance from the port of the media.
std::optional<uint16_t> distance(std::string_view text, const Endpoint& rtp) {
    if (text == "same") return uint16_t{0};
    const bool further = text.starts_with('+');
    const auto value = number(text.substr(further ? 1 : 0));
    if (!value || *value == 0) return std::nullopt;
    const auto port = static_cast<uint16_t>(further ? *value : *value - rtp.port);
    if ((further && port > 1000) || port == kRtcpPort) return std::nullopt;
    return port;
}

std::optional<Carried> read_carriage(const Map& map, const Endpoint& rtp) {
    const auto scheme = map.required("scheme").one_of<Scheme>(kSchemes);
    if (!scheme) return std::nullopt;
    Carried out{{.scheme = *scheme}, rtp::fec::kColumnPort};
    if (*scheme == Scheme::st2022_1) {
        for (const std::string_view key : {"payload_type", "port"})
            if (const Value value = map[key])
                value.problem(value.key_at(), "does not go with st2022-1, which has ports of its own: + 2 and + 4");
        return out;
    }
    out.carriage.payload_type = *scheme == Scheme::flexfec ? 110 : 122;
    if (const Value type = map["payload_type"])
        out.carriage.payload_type = type.number<uint8_t>(96, 127).value_or(out.carriage.payload_type);
    out.port = map["port"]
                   .parsed("same, + and a number of 2 to 1000 such as +2, or a port that is not that of the RTCP",
                           [&](std::string_view text) { return distance(text, rtp); })
                   .value_or(uint16_t{0});
    out.carriage.among_media = *scheme == Scheme::ulpfec && out.port == 0;
    return out;
}

Matrix read_matrix(const Map& map, Scheme scheme) {
    enum class Mode : uint8_t { both, column, row };
    static constexpr Name<Mode> kModes[] = {{"row+column", Mode::both}, {"column", Mode::column}, {"row", Mode::row}};
    static constexpr Name<bool> kAligns[] = {{"block", false}, {"staggered", true}};
    const std::span all{kModes};
    const auto modes = scheme == Scheme::st2022_1 ? all.first(2) : scheme == Scheme::ulpfec ? all.subspan(1) : all;
    const Limits limits = limits_of(scheme);
    const Mode mode = map["mode"].one_of<Mode>(modes).value_or(scheme == Scheme::ulpfec ? Mode::row : Mode::both);
    Matrix matrix{.row_repair = mode != Mode::column, .column_repair = mode != Mode::row};
    const auto most = static_cast<uint8_t>(Matrix::kMaxLine);
    const Value columns = map["columns"], rows = map["rows"], align = map["align"];
    if (mode == Mode::row)
        for (const Value& value : {rows, align})
            if (value)
                value.problem(value.key_at(), "says nothing where there are rows only: each has `columns` packets");
    const auto wide = columns.number<uint8_t>(mode == Mode::both ? limits.columns_2d : limits.columns, most);
    const auto high = mode == Mode::row ? std::nullopt : rows.number<uint8_t>(limits.rows, most);
    matrix.staggered = mode != Mode::row && align.one_of<bool>(kAligns).value_or(false);
    if (scheme == Scheme::ulpfec && mode == Mode::column) matrix.rows = matrix.columns = 6;
    matrix.columns = wide.value_or(matrix.columns);
    matrix.rows = high.value_or(matrix.rows);
    const bool read = (wide || !columns) && (high || !rows);
    if (read && mode != Mode::row && matrix.packets() > limits.packets)
        map.value().problem(fmt::format("{} columns of {} rows are {} packets: at most {} is allowed", matrix.columns,
                                        matrix.rows, matrix.packets(), limits.packets));
    return matrix;
}

}  // namespace

std::optional<SourceFec> read_source_fec(const Value& value, const Endpoint& rtp) {
    static constexpr std::string_view kKeys[] = {"scheme", "payload_type", "port"};
    if (!value) return std::nullopt;
    const auto carried = read_carriage(Map{value, kKeys}, rtp);
    if (!carried) return std::nullopt;
    return SourceFec{carried->carriage, carried->port};
}

std::optional<OutputFec> read_output_fec(const Value& value, const Endpoint& rtp) {
    static constexpr std::string_view kKeys[] = {"scheme", "payload_type", "port",   "columns",       "rows",
                                                 "mode",   "align",        "header", "retransmission"};
    static constexpr Name<bool> kHeaders[] = {{"fixed", false}, {"mask", true}};
    if (!value) return std::nullopt;
    const Map map{value, kKeys};
    const auto carried = read_carriage(map, rtp);
    const Scheme scheme = carried ? carried->carriage.scheme : Scheme::st2022_1;
    OutputFec fec{{{}, read_matrix(map, scheme)}, 0};
    if (const Value header = map["header"]) {
        fec.code.mask = header.one_of<bool>(kHeaders).value_or(false);
        if (carried && scheme != Scheme::flexfec) header.problem(header.key_at(), "is of flexfec only");
    }
    if (const Value resent = map["retransmission"]) {
        fec.retransmission = resent.boolean().value_or(false);
        if (carried && scheme != Scheme::flexfec) resent.problem(resent.key_at(), "is of flexfec only");
    }
    if (!carried) return std::nullopt;
    fec.code.carriage = carried->carriage;
    fec.port = carried->port;
    return fec;
}

void want_room_for_repair(const std::vector<uint16_t>& ports, const Endpoint& rtp, const Value& rtp_value) {
    if (ports.empty()) return;
    const uint16_t last = ports.back();
    if (last > 1000 || rtp.port <= 65535 - last) return;  // a port below, given as such
    rtp_value.problem(fmt::format("port {} leaves no room for repair on port + {}: at most {} is allowed", rtp.port,
                                  fmt::join(ports, " and + "), 65535 - last));
}

}  // namespace penstock::config
