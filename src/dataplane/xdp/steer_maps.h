#pragma once
/* What the XDP program and the process that steers it share. Plain C: clang -target bpf and C++ both read it. */
#include <linux/types.h>

#define STEER_MAX_FLOWS 262144
#define STEER_MAX_ADDRESSES 1024
#define STEER_MAX_QUEUES 64

/* Of the map of flows. It tells a program that a killed penstock left behind from anybody else's. */
#define STEER_FLOWS_MAP_NAME "penstock_flows"

/* IPv4 addresses are IPv4-mapped (RFC 4291 section 2.5.5.2). */
struct steer_address {
    __u8 bytes[16];
};

/* One configured flow. No padding: the hash map compares every byte. */
struct steer_flow {
    struct steer_address destination;
    __u16 port; /* host order, as vlan */
    __u16 vlan; /* 802.1Q VLAN id; 0: untagged */
};
