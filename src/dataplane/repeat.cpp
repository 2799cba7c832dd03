// A part of Worker: temporal duplication (RFC 7198). Packets were kept as they left; here they are sent once more when
// their time has come.
#include <array>
#include <cstring>

#include "base/wire.hpp"
#include "dataplane/made.hpp"
#include "dataplane/worker.hpp"

namespace penstock::dataplane {

unsigned Worker::repeat(const flow::Repetition& repetition, unsigned most) noexcept {
    if (repetition.to.legs.empty()) return 0;
    flow::Repeat& repeat = *repetition.repeat;
    flow::Classified like;
    like.ttl = repeat.ttl();
    like.tos = repeat.tos();
    for (unsigned sent = 0; sent < most; sent++) {
        const auto packet = repeat.next(now_);
        if (packet.empty()) return sent;
        std::array<std::byte, 12> head;  // of RTP
        std::memcpy(head.data(), packet.data(), head.size());
        wire::store32(&head[8], flow::Repeat::ssrc_for(wire::load32(&packet[8])));
        send_made(repetition.to, head, packet.subspan(head.size()), like);
    }
    return most;
}

}  // namespace penstock::dataplane
