// Package filter chooses packets by an expression that a person writes, for
// "spigate trace" and "spigate capture":
//
//	host 192.0.2.11 and (esp or udp port 4500) and not in wan
//
// The words are those of packet filters that everybody knows; the language is
// much smaller, and without "and" nothing is put together:
//
//	expression  = all { "or" all }
//	all         = one { "and" one }
//	one         = [ "not" ] ( "(" expression ")" | word )
//	word        = [ "src" | "dst" ] "host" ADDRESS
//	            | [ "src" | "dst" ] "net" PREFIX
//	            | [ "udp" | "tcp" ] [ "src" | "dst" ] "port" NUMBER [ "-" NUMBER ]
//	            | "udp" | "tcp" | "icmp" | "esp" | "ah" | "gre" | "ip" | "arp" | "fragment"
//	            | "proto" NUMBER | "spi" HEX | "in" VLAN | "out" VLAN
//
// "spi" means ESP as it is and ESP in UDP (RFC 3948). A fragment that is not the
// first of its datagram has no port. "out" is only known of what leaves.
//
// It is not BPF: nothing is compiled, and nothing but the headers is looked at.
// Matching allocates nothing. Everything is bounded: MaxText, MaxWords, MaxDepth.
package filter

// The bounds of an expression.
const (
	MaxText  = 1024 // bytes
	MaxWords = 64   // words in it that choose something
	MaxDepth = 16   // parentheses and nots inside each other
)
