#include "control/rtsp/message.hpp"

#include <fmt/format.h>

#include "base/text.hpp"

namespace penstock::rtsp {
namespace {

std::string finish(std::string head, const Headers& headers, const std::string& body) {
    for (const auto& [name, value] : headers)
        if (!same_name(name, "Content-Length")) head += fmt::format("{}: {}\r\n", name, value);
    if (!body.empty()) head += fmt::format("Content-Length: {}\r\n", body.size());
    return head + "\r\n" + body;
}

}  // namespace

std::optional<std::string_view> Headers::get(std::string_view name) const {
    for (const auto& [known, value] : all_)
        if (same_name(known, name)) return value;
    return std::nullopt;
}

void Headers::append_to_last(std::string_view more) {
    std::string& value = all_.back().second;
    if (!value.empty() && !more.empty()) value += ' ';
    value += more;
}

std::string write(const Request& r) {
    return finish(fmt::format("{} {} RTSP/{}.{}\r\n", r.method, r.url, r.version.major, r.version.minor), r.headers,
                  r.body);
}

std::string write(const Response& r) {
    return finish(fmt::format("RTSP/{}.{} {} {}\r\n", r.version.major, r.version.minor, r.status,
                              r.reason.empty() ? reason_of(r.status) : std::string_view(r.reason)),
                  r.headers, r.body);
}

std::string write(const Frame& frame) {
    std::string bytes{'$', static_cast<char>(frame.channel), static_cast<char>(frame.payload.size() >> 8),
                      static_cast<char>(frame.payload.size())};
    bytes.append(reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size());
    return bytes;
}

std::string_view reason_of(int status) {
    switch (status) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Time-out";
        case 409: return "Conflict";
        case 413: return "Request Entity Too Large";
        case 414: return "Request-URI Too Large";
        case 415: return "Unsupported Media Type";
        case 451: return "Parameter Not Understood";
        case 453: return "Not Enough Bandwidth";
        case 454: return "Session Not Found";
        case 455: return "Method Not Valid In This State";
        case 459: return "Aggregate Operation Not Allowed";
        case 460: return "Only Aggregate Operation Allowed";
        case 461: return "Unsupported Transport";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Time-out";
        case 505: return "RTSP Version Not Supported";
        case 551: return "Option Not Supported";
        default: return status < 400 ? "OK" : "Error";
    }
}

}  // namespace penstock::rtsp
