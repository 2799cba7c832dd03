// Any datagram: what is called RTCP is a chain of packets that fill it exactly.
#include "rtp/rtcp.hpp"

#include "expect.hpp"

using namespace penstock::rtp;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (!valid_rtcp(input(data, size))) return 0;
    EXPECT(size >= 4 && size % 4 == 0 && data[1] >= 200 && data[1] <= 207);
    size_t at = 0;
    while (at < size) {
        EXPECT(data[at] >> 6 == 2);
        const size_t length = 4 * (size_t{data[at + 2]} << 8 | data[at + 3]) + 4;
        if ((data[at] & 0x20) != 0) EXPECT(at + length == size && data[size - 1] + 4u <= length);
        at += length;
    }
    EXPECT(at == size);
    return 0;
}
