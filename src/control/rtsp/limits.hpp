#pragma once
// What a peer may cost us. Everything that arrives is bounded by one of these.
#include <chrono>
#include <cstddef>

#include "base/time.hpp"

namespace penstock::rtsp {

// One message.
inline constexpr size_t kLongestHead = 16 * 1024;  // bytes: start line and headers
inline constexpr size_t kMostHeaders = 128;
inline constexpr size_t kLongestBody = 64 * 1024;
// What a connection may have sent ahead while a request of it waits for its answer.
inline constexpr size_t kMostPipelined = 256 * 1024;
inline constexpr size_t kMostAlternatives = 16;  // of a Transport header
inline constexpr size_t kLongestAgent = 120;     // characters of a User-Agent that are kept

// One announcement; its body is bounded by kLongestBody.
inline constexpr size_t kMostTracks = 8;
inline constexpr size_t kLongestFmtp = 4096;  // characters, as in the configuration

// One connection.
inline constexpr Duration kMessageTime = std::chrono::seconds(10);  // from the first byte of a message to its last
inline constexpr Duration kIdleTime = std::chrono::seconds(60);     // without a request and without a session

// A tunnel in HTTP.
inline constexpr size_t kLongestHttpHead = 8 * 1024;
inline constexpr size_t kLongestCookie = 128;
inline constexpr size_t kMostUnjoined = 16;  // GETs of one address that wait for their POST
inline constexpr Duration kJoinTime =
    std::chrono::seconds(10);  // from a GET to its POST, and from one POST to the next

// Passwords.
inline constexpr Duration kNonceTime = std::chrono::minutes(5);    // a nonce is good for so long
inline constexpr Duration kFailureTime = std::chrono::minutes(1);  // in which failures are counted

// All together.
inline constexpr size_t kMostConnections = 4096;
inline constexpr size_t kMostSessions = 16384;

// A camera that we pull from.
inline constexpr Duration kConnectTime = std::chrono::seconds(5);      // for TCP
inline constexpr Duration kAnswerTime = std::chrono::seconds(10);      // for each answer
inline constexpr Duration kTeardownTime = std::chrono::seconds(2);     // for the answer to TEARDOWN
inline constexpr unsigned kMostRedirects = 5;                          // one after another
inline constexpr unsigned kMostProofs = 2;                             // of a password, for one request
inline constexpr size_t kMostPulledTracks = 8;                         // of one description
inline constexpr Duration kDefaultTimeout = std::chrono::seconds(60);  // RFC 2326 section 12.37
inline constexpr Duration kLongestKeepalive = std::chrono::seconds(60);
inline constexpr Duration kShortestKeepalive = std::chrono::seconds(1);

}  // namespace penstock::rtsp
