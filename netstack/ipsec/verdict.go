package ipsec

// Verdict says what becomes of a packet. The router makes a drop reason of
// those that end one (VR46); the README has the table.
type Verdict uint8

// The verdicts.
const (
	Pass            Verdict = iota // sealed, or opened and checked: on its way
	Protect                        // a selector wants it sealed: hand it to Send
	Clear                          // a selector of action bypass: in clear
	SelectorMiss                   // no selector is about it: in clear, unless protection is required (VR31)
	SelectorDiscard                // a selector of action discard
	SelectorReject                 // not what its SA was made for, or in clear though it should not be (VR32)
	Undecided                      // a later fragment inside an SA that names ports: see Received
	NoSA                           // out: none is there yet; in: an SPI of nobody
	Held                           // the first packet that waits for an SA (VR29)
	TooBig                         // DF, and too long once sealed: ICMP 3/4 with Sent.MTU (VR35)
	Fragment                       // transport mode seals whole datagrams only (RFC 4303 section 3.3)
	NoRoom                         // the memory around the packet is too small: a fault of the caller
	Malformed                      // ESP that is too short, or whose length cannot be
	Replay                         // its number was seen, or is too old (VR33)
	ICV                            // forged or damaged
	Padding                        // authentic, but its padding is not 1, 2, 3, … (RFC 4303 section 2.4)
	NextHeader                     // tunnel mode, and not IPv4 inside
	InnerMalformed                 // what was or would be inside is no IPv4 packet
	ECNInvalid                     // congestion marked outside, inside cannot carry it (RFC 6040 section 4.2)
	Dummy                          // a dummy packet: silently gone (RFC 4303 section 2.6)
	Expired                        // the SA's hard lifetime is over, or it was removed
	Exhausted                      // the SA has no sequence number left (RFC 4303 section 3.3.3)

	// NumVerdicts is their number, for arrays indexed by Verdict.
	NumVerdicts
)

// String returns the word that logs and counters use.
func (v Verdict) String() string {
	if v >= NumVerdicts {
		return "unknown"
	}
	return [...]string{"pass", "protect", "clear", "selector_miss", "selector_discard", "selector_reject", "undecided", "no_sa", "held",
		"too_big", "fragment", "no_room", "esp_malformed", "replay", "icv", "esp_padding", "esp_next_header", "inner_malformed",
		"ecn_invalid", "esp_dummy", "sa_expired", "seq_exhausted"}[v]
}
