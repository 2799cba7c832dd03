/* Redirects media to the AF_XDP socket of its queue; everything else is the kernel's, and so is whatever is truncated,
 * strange or not understood: this program fails open.
 *
 * DPDK's AF_XDP driver finds the attached program through libxdp and puts its sockets into it, instead of attaching
 * its own, when three names are right: the function xsk_def_prog, the map xsks_map, and the version at the end. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steer_maps.h"

#define MAX_EXTENSIONS 8

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, STEER_MAX_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps");

/* Configured sources and their RTCP, inside the media range or not. Memory is taken as flows come: the full size would
 * cost some 20 MB an interface. The name is STEER_FLOWS_MAP_NAME. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, STEER_MAX_FLOWS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct steer_flow);
    __type(value, __u8);
} penstock_flows SEC(".maps");

/* Where the media range applies: the interface's own addresses. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, STEER_MAX_ADDRESSES);
    __type(key, struct steer_address);
    __type(value, __u8);
} media_addresses SEC(".maps");

/* The media range, inclusive: first << 16 | last in one word, so that a change is never seen by halves.
 * 1-0 holds no port. */
volatile __u32 media_ports = 1 << 16;

/* A UDP datagram, or the first fragment of one. */
struct datagram {
    struct steer_flow flow;
    void* udp;
    __u32 size; /* bytes of IP payload from udp on */
    bool fragment;
};

struct vlan_tag {
    __be16 tci;
    __be16 type;
};

/* The first 8 bytes of an IPv6 extension header: RFC 8200 sections 4.3 to 4.6. */
struct extension {
    __u8 next;
    __u8 length; /* in 8 bytes, the first 8 not counted; reserved in a fragment header */
    union {
        __be16 fragment; /* offset in 8 bytes, 2 reserved bits, more fragments */
        struct {
            __u8 routing_type;
            __u8 segments_left;
        };
    };
    __u32 rest;
};

/* A length in host order. The verifier of older kernels (6.1) does not know that a swapped half-word has 16 bits, and
 * the compiler, which does, would leave the mask out. */
static __always_inline __u32 length(__be16 field) {
    __u32 value = bpf_ntohs(field);
    asm volatile("" : "+r"(value));
    return value & 0xffff;
}

static __always_inline bool parse_ipv4(void* at, void* end, struct datagram* out) {
    struct iphdr* ip = at;
    if ((void*)(ip + 1) > end || ip->version != 4 || ip->protocol != IPPROTO_UDP) return false;
    const __u32 header = ip->ihl * 4u;
    const __u32 total = length(ip->tot_len);
    const __u32 fragment = bpf_ntohs(ip->frag_off);
    if (header < sizeof *ip || total < header || at + total > end) return false;
    if (fragment & 0x1fff) return false; /* a later fragment has no ports */
    out->flow.destination.bytes[10] = out->flow.destination.bytes[11] = 0xff;
    __builtin_memcpy(&out->flow.destination.bytes[12], &ip->daddr, 4);
    out->udp = at + header;
    out->size = total - header;
    out->fragment = fragment & 0x2000;
    return true;
}

static __always_inline bool parse_ipv6(void* at, void* end, struct datagram* out) {
    struct ipv6hdr* ip = at;
    if ((void*)(ip + 1) > end || ip->version != 6) return false;
    __builtin_memcpy(&out->flow.destination, &ip->daddr, sizeof out->flow.destination);
    __u32 left = length(ip->payload_len); /* 0 for a jumbogram, which is thereby left to the kernel */
    __u8 type = ip->nexthdr;
    at = ip + 1;
    if (at + left > end) return false;

    for (int i = 0; i <= MAX_EXTENSIONS; i++) {
        if (type == IPPROTO_UDP) {
            out->udp = at;
            out->size = left;
            return true;
        }
        struct extension* header = at;
        if ((void*)(header + 1) > end) return false;
        __u32 size = 8;
        switch (type) {
            case IPPROTO_ROUTING:
                if (header->segments_left != 0) return false; /* this is not its last stop: routing is the kernel's */
                size += header->length * 8u;
                break;
            case IPPROTO_HOPOPTS:
            case IPPROTO_DSTOPTS: size += header->length * 8u; break;
            case IPPROTO_FRAGMENT:
                if (bpf_ntohs(header->fragment) & 0xfff8) return false; /* a later fragment has no ports */
                out->fragment = bpf_ntohs(header->fragment) & 1;
                break;
            default: return false;
        }
        if (size > left) return false;
        left -= size;
        type = header->next;
        at += size;
    }
    return false;
}

static __always_inline bool is_media(const struct datagram* datagram) {
    const __u32 range = media_ports;
    const __u16 port = datagram->flow.port;
    if (port >= range >> 16 && port <= (range & 0xffff) &&
        bpf_map_lookup_elem(&media_addresses, &datagram->flow.destination))
        return true;
    return bpf_map_lookup_elem(&penstock_flows, &datagram->flow);
}

SEC("xdp")
int xsk_def_prog(struct xdp_md* context) {
    void* at = (void*)(long)context->data;
    void* end = (void*)(long)context->data_end;
    struct datagram datagram = {};

    struct ethhdr* ethernet = at;
    if ((void*)(ethernet + 1) > end) return XDP_PASS;
    __be16 type = ethernet->h_proto;
    at = ethernet + 1;
    if (type == bpf_htons(ETH_P_8021Q)) {
        struct vlan_tag* tag = at;
        if ((void*)(tag + 1) > end) return XDP_PASS;
        datagram.flow.vlan = bpf_ntohs(tag->tci) & 0x0fff;
        type = tag->type;
        at = tag + 1;
    }

    if (type == bpf_htons(ETH_P_IP)) {
        if (!parse_ipv4(at, end, &datagram)) return XDP_PASS;
    } else if (type == bpf_htons(ETH_P_IPV6)) {
        if (!parse_ipv6(at, end, &datagram)) return XDP_PASS;
    } else {
        return XDP_PASS;
    }

    struct udphdr* udp = datagram.udp;
    if ((void*)(udp + 1) > end || datagram.size < sizeof *udp) return XDP_PASS;
    const __u32 length = bpf_ntohs(udp->len); /* of the whole datagram, in its first fragment too */
    if (length < sizeof *udp || (!datagram.fragment && length > datagram.size)) return XDP_PASS;
    datagram.flow.port = bpf_ntohs(udp->dest);

    /* A queue that has no socket (none yet, or its process was killed) gives XDP_PASS too. */
    return is_media(&datagram) ? (int)bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_PASS) : XDP_PASS;
}

char _license[] SEC("license") = "Apache-2.0";
__uint(xsk_prog_version, 1) SEC("xdp_metadata");
