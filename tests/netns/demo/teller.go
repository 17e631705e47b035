package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"spigate/tests/golden"
	"spigate/tests/netns"
)

// teller prints what happens, as it happens. Hosts and the daemon's output
// call it from goroutines of their own.
type teller struct {
	verbose bool
	begin   int64

	mu   sync.Mutex
	w    io.Writer
	spis map[string]bool // SPIs whose first packet was told
}

func newTeller(w io.Writer, verbose bool) *teller {
	return &teller{w: w, verbose: verbose, begin: netns.Monotonic(), spis: map[string]bool{}}
}

func (t *teller) print(who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ms := (netns.Monotonic() - t.begin) / 1e6
	fmt.Fprintf(t.w, "%3d.%03d  %-8s %s\n", ms/1000, ms%1000, who, fmt.Sprintf(format, args...))
}

func (t *teller) say(format string, args ...any) { t.print("", format, args...) }

func (t *teller) title(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "\n=== %s\n", fmt.Sprintf(format, args...))
}

// block prints a table as the router printed it.
func (t *teller) block(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprint(t.w, "           ", line)
	}
}

// event tells what a host does: its phase-2 messages, the first ESP packet on
// each SPI, and everything that is out of the ordinary.
func (t *teller) event(e netns.Event) {
	if !t.verbose && !t.notable(e) {
		return
	}
	t.print(e.Host, "%v %s", e.What, e.Step.Describe())
}

func (t *teller) notable(e netns.Event) bool {
	switch e.What {
	case netns.Resent, netns.Strayed:
		return true
	case netns.Sent:
		return e.Step.IsPhase2()
	}
	if e.Step.Kind != golden.ESP {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := fmt.Sprint(e.Conversation, e.Step.From, e.Step.SPI())
	told := t.spis[key]
	t.spis[key] = true
	return !told
}

// log tells what the router's log says.
func (t *teller) log(line string) {
	l := netns.ParseLogLine(line)
	if words := algWords(l); words != "" {
		t.print("router", "%s", words)
		return
	}
	if t.verbose || l["level"] == "WARN" || l["level"] == "ERROR" || l["level"] == "" {
		t.print("router", "%s", withoutTime(line))
	}
}

// logOf tells what the log of one of the live act's routers says: who has
// agreed on keys with whom, and what the ALG made of it.
func (t *teller) logOf(who string) func(line string) {
	return func(line string) {
		l := netns.ParseLogLine(line)
		if words := algWords(l); words != "" {
			t.print(who, "%s", words)
			return
		}
		if words := ikeWords(l); words != "" {
			t.print(who, "%s", words)
			return
		}
		if t.verbose || l["level"] == "WARN" && l["msg"] != "configuration" || l["level"] == "ERROR" || l["level"] == "" {
			t.print(who, "%s", withoutTime(line))
		}
	}
}

// ikeWords puts an event of IKE into words.
func ikeWords(l netns.LogLine) string {
	switch l["msg"] {
	case "IKE UP", "IKE DOWN", "IKE REKEYED":
		return fmt.Sprintf("%s: %s at %s: %s", l["msg"], l["peer"], l["remote"], l["reason"])
	case "CHILD UP", "CHILD DOWN":
		return fmt.Sprintf("%s: %s, SPIs in %s out %s: %s", l["msg"], l["selector"], l["spi_in"], l["spi_out"], l["reason"])
	}
	return ""
}

// withoutTime cuts slog's time off a line; every line has one of ours.
func withoutTime(line string) string {
	if rest, ok := strings.CutPrefix(line, "time="); ok {
		_, line, _ = strings.Cut(rest, " ")
	}
	return line
}

// algWords puts an event of the IPsec ALG into words.
func algWords(l netns.LogLine) string {
	ev := l.ALGEvent()
	if ev == "" {
		return ""
	}
	who := client(l["src"])
	reason := ""
	if l["reason"] != "" {
		reason = " (" + l["reason"] + ")"
	}
	switch ev {
	case "IKE_CREATED", "IKE_UP":
		return fmt.Sprintf("%s: IKE session of %s, cookie %s%s", ev, who, l["cookie"], reason)
	case "GATE_OPEN":
		return fmt.Sprintf("GATE_OPEN: %s may bring new SPIs between %s and %s%s", who, l["nat"], l["dst"], reason)
	case "GATE_MATCH_OUT":
		return fmt.Sprintf("GATE_MATCH_OUT: SPI %s towards the gateway belongs to %s%s", l["spiout"], who, reason)
	case "GATE_MATCH_IN":
		return fmt.Sprintf("GATE_MATCH_IN: SPI %s from the gateway belongs to %s%s", l["spiin"], who, reason)
	case "P2_HELD", "P2_BLOCKED":
		return fmt.Sprintf("%s: a phase-2 message of %s waits for the gate%s", ev, who, reason)
	case "ESP_CREATED":
		return fmt.Sprintf("ESP_CREATED: session of %s, SPIs in %s out %s%s", who, l["spiin"], l["spiout"], reason)
	}
	return fmt.Sprintf("%s: %s%s", ev, who, reason)
}

func client(addr string) string {
	switch addr {
	case netns.Client1.String():
		return "client1"
	case netns.Client2.String():
		return "client2"
	}
	return addr
}

// result tells what one act came to.
func (t *teller) result(name string, r *netns.Result, first, second golden.Conversation) {
	a, b := r.Delivery(first.Name, golden.Gateway), r.Delivery(second.Name, golden.Gateway)
	t.say("the gateway saw client1 at %v and client2 at %v", a.Peer, b.Peer)
	t.say("%s arrived, byte for byte:", name)
	t.block(r.Summary())
}

// maxFaults bounds what is printed; --json has them all.
const maxFaults = 50

// verdict tells the end of it.
func (t *teller) verdict(r *report) {
	t.title("verdict")
	got, want := 0, 0
	for _, i := range r.Items {
		got, want = got+i.ESPReceived, want+i.ESPExpected
	}
	t.say("ESP packets at the right end, byte for byte: %d of %d", got, want)
	t.say("frames on the fast path: %d, on the slow path: %d", r.FastHits, r.SlowHits)
	if l := r.Live; l != nil {
		t.say("live: plain ESP through the router: %d packets out, %d in, %d in UDP", l.Wire.ESPOut, l.Wire.ESPIn, l.Wire.NATT)
		for _, c := range l.Clients {
			t.say("live: %s up in %.3f s; %d bytes of TCP there and back, %d of the server's; new keys %d times, the slowest word %.3f s",
				c.Client, c.FirstPing, c.Bytes, c.BackBytes, c.Rekeys, c.SlowestWord)
		}
		t.say("live: client1 was killed: back in %.3f s, %.3f s later its host had an answer", l.Ready, l.Back)
	}
	for i, f := range r.Faults {
		if i == maxFaults {
			t.say("and %d more", len(r.Faults)-i)
			break
		}
		t.say("FAULT %s", f)
	}
	if r.OK {
		t.say("OK: both clients spoke plain ESP to one gateway through one public address")
		return
	}
	t.say("FAILED")
}
