// Package fakeneutron serves as much of the OpenStack Networking API v2 as
// Nova needs of it: networks, subnets, ports with addresses, floating IPs. It
// has no agents, no DHCP and no authentication.
//
// There are two shared networks: "private" with the addresses 10.77.0.0/16, and
// "other" with 10.78.0.0/16 and fd00:78::/64; floating IPs are taken from
// 198.18.0.0/15. No address is ever given twice, so that an address tells which
// server had it.
//
// Ports are bound with the VIF type "bridge": Nova makes a Linux bridge for a
// network when its first port is used. The bridges' names begin with
// State.Bridges.
package fakeneutron
