package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"spigate/tests/netns"
)

// liveReport is what the live act came to.
type liveReport struct {
	Clients [2]liveClient `json:"clients"`
	Wire    wire          `json:"wire"`
	Ready   float64       `json:"restart_seconds"` // until client1 was ready again, when it had been killed
	Back    float64       `json:"first_ping_after_restart_seconds"`

	extra []string // faults beside the numbers'
}

// liveClient is the numbers of one tunnel, at its client.
type liveClient struct {
	Client      string  `json:"client"`
	FirstPing   float64 `json:"first_ping_seconds"` // from nothing to an answer
	Pings       int     `json:"pings"`
	Answers     int     `json:"answers"`
	BackPings   int     `json:"pings_of_the_server"`
	BackAnswers int     `json:"answers_to_the_server"`
	BackBytes   int     `json:"tcp_bytes_of_the_server"` // there and back
	Bytes       int     `json:"tcp_bytes"`
	FileSeconds float64 `json:"file_seconds"`
	SlowestWord float64 `json:"slowest_word_seconds"` // while keys changed
	Rekeys      int     `json:"rekeys"`
	IKERekeys   int     `json:"ike_rekeys"`
	SlowestAnew float64 `json:"slowest_word_of_ike_rekey_seconds"`
}

// wire is packets between the router and the gateway.
type wire struct {
	ESPOut int `json:"esp_out"` // protocol 50, from the NAT address
	ESPIn  int `json:"esp_in"`
	IKE    int `json:"ike"`  // the gateway's port 500
	NATT   int `json:"natt"` // the gateway's port 4500
	Other  int `json:"other"`
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// sortOut counts the IPv4 packets that arrived at the ends of a cable.
func sortOut(frames []netns.Captured) (w wire) {
	for _, f := range frames {
		b := f.Frame
		if f.Sent || len(b) < 38 || binary.BigEndian.Uint16(b[12:]) != 0x0800 {
			continue // ARP, or it is counted at the other end
		}
		src, dst := netip.AddrFrom4([4]byte(b[26:30])), netip.AddrFrom4([4]byte(b[30:34]))
		out := src == netns.NATAddress && dst == netns.Remote.Addr()
		in := dst == netns.NATAddress && src == netns.Remote.Addr()
		port := binary.BigEndian.Uint16(b[36:])
		if in {
			port = binary.BigEndian.Uint16(b[34:])
		}
		switch proto := b[23]; {
		case out && proto == protoESP:
			w.ESPOut++
		case in && proto == protoESP:
			w.ESPIn++
		case (out || in) && proto == protoUDP && port == 500:
			w.IKE++
		case (out || in) && proto == protoUDP && port == 4500:
			w.NATT++
		default:
			w.Other++
		}
	}
	return w
}

const (
	protoUDP = 17
	protoESP = 50
)

// faults is what is wrong with it.
func (l *liveReport) faults() []string {
	out := l.extra
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for _, c := range l.Clients {
		bad(c.Answers == 0, "%s: no answer to %d pings", c.Client, c.Pings) // the first ones waited for a tunnel
		bad(c.BackAnswers == 0 || c.BackAnswers != c.BackPings, "%s: %d answers to %d pings of the server", c.Client, c.BackAnswers, c.BackPings)
		bad(c.Bytes == 0 || c.BackBytes == 0, "%s: TCP did not come through both ways: %d bytes, %d of the server", c.Client, c.Bytes, c.BackBytes)
		bad(c.Rekeys < 1, "%s: its keys were never new", c.Client)
		bad(c.IKERekeys < 1, "%s: its IKE SA was never new", c.Client)
	}
	bad(l.Back == 0, "client1 did not come back after it was killed")
	bad(l.Wire.ESPOut == 0 || l.Wire.ESPIn == 0, "no plain ESP passed the router: %d packets out, %d in", l.Wire.ESPOut, l.Wire.ESPIn)
	bad(l.Wire.NATT > 0, "%d packets on port 4500: the tunnels went into UDP", l.Wire.NATT)
	bad(l.Wire.Other > 0, "%d packets that are neither IKE nor ESP between the NAT address and the gateway", l.Wire.Other)
	return out
}
