package netstack

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"spigate/netstack/capture"
	"spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/trace"
)

// traced begins a trace of everything that an expression chooses.
func (w *world) traced(name, match string, count int) {
	w.t.Helper()
	e, err := filter.Parse(match, map[string]frame.Interface{"lan": lanIf, "wan": wanIf})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.r.AddTrace(trace.Config{Name: name, Match: e, Text: match, Count: count}); err != nil {
		w.t.Fatal(err)
	}
}

// steps are a walk's steps with their verdicts, in one line, and how it ended.
func steps(w *trace.Walk) string {
	var b strings.Builder
	for _, e := range w.Events {
		fmt.Fprintf(&b, "%s/%s:%s ", e.Hook, e.Step, e.Verdict)
	}
	b.WriteString(w.Fate.End)
	switch {
	case w.Fate.Reason != drop.None:
		b.WriteString(" " + w.Fate.Reason.String())
	case w.Fate.Stack != "":
		b.WriteString(" " + w.Fate.Stack)
	case w.Fate.End == EndForwarded.String():
		fmt.Fprintf(&b, " by %d as %v > %v", w.Fate.Out, w.Fate.Src, w.Fate.Dst)
	}
	return b.String()
}

func TestATraceTellsTheStepsThatAPacketMet(t *testing.T) {
	w := newWorld(t)
	w.traced("all", "", 100)
	s, me := at(server, 443), at(client1, 40000)
	w.fromLAN(udpTo(me, s, "question"))
	nat := w.one(w.atWAN())
	w.fromWAN(udpTo(s, at(nat.Src, nat.SrcPort), "answer"))
	w.fromLAN(udpTo(me, s, "question"))
	w.fromLAN(udpTo(me, s, "question"))
	w.fromWAN(udpTo(at(server2, 9), at(natAddr, 9), "nobody asked"))
	w.fromLAN(echo(client1, lanAddr, 8, 7, "ping"))
	w.fromLAN(udpTo(me, at(addr("172.31.1.1"), 9), "waits for ARP"))
	w.fromLAN(ttl(udpTo(me, s, "late"), 1))
	leaves := fmt.Sprintf(" by 2 as %v:%d > %v", nat.Src, nat.SrcPort, s)
	want := []string{
		"prerouting/listener:continue route/:continue forward/in2out:continue postrouting/source:continue forwarded" + leaves,
		"prerouting/out2in:accept route/:continue forward/exempt:accept forwarded by 1 as 203.0.113.254:443 > 192.0.2.11:40000",
		"fast path/:accept forwarded" + leaves,
		"fast path/:accept forwarded" + leaves,
		"prerouting/out2in:dropped dropped no_mapping",
		"prerouting/listener:continue input/:continue delivered",
		"prerouting/listener:continue route/:continue forward/in2out:continue postrouting/source:continue forwarded",
		"prerouting/expiring:accept route/:dropped dropped stack_ttl_exceeded",
	}
	got := w.r.Traces().Each("all")
	if len(got) != len(want) {
		t.Fatalf("%d walks, want %d", len(got), len(want))
	}
	for i := range want {
		if s := steps(&got[i]); s != want[i] && !(i == 6 && strings.HasPrefix(s, want[i])) {
			t.Errorf("packet %d:\n%s, want\n%s", i+1, s, want[i])
		}
	}
}

// Whatever is drawn, what a trace says of a packet is what explain said of it.
func TestATraceEndsAsExplainSays(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(40) {
		d := newDrawer(t, seed)
		d.Rand = rand.New(rand.NewPCG(seed, 78))
		for range 100 {
			d.traceOne(t, seen)
			if d.chance(3) {
				d.w.advance(time.Duration(1+d.IntN(40)) * time.Second)
			}
		}
		d.w.r.RemoveTrace("")
	}
	for _, what := range []string{"forwarded", "dropped", "delivered", "held", "fast"} {
		if seen[what] == 0 {
			t.Errorf("no packet was %s", what)
		}
	}
}

// The same where much is sealed.
func TestATraceOfWhatIsSealedEndsAsExplainSays(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(30) {
		d := newDrawer(t, seed, (*drawer).tunnels)
		for range 60 {
			d.traceOne(t, seen)
		}
		d.w.r.RemoveTrace("")
	}
	for _, what := range []string{"sealed", "held", "forwarded"} {
		if seen[what] == 0 {
			t.Errorf("no packet was %s: %v", what, seen)
		}
	}
}

func TestATraceFollowsAHeldMessageUntilItLeaves(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	a.reply()
	w.traced("second", "src host 192.0.2.12", 5)
	w.advance(20 * time.Second)
	w.none(b.ask())
	walk := func() *trace.Walk {
		t.Helper()
		walks := w.r.Traces().Each("second")
		if len(walks) != 1 {
			t.Fatalf("%d walks", len(walks))
		}
		return &walks[0]
	}
	if got := steps(walk()); !strings.HasSuffix(got, "forward/in2out:held held") {
		t.Error(got)
	}
	w.advance(11 * time.Second)
	w.one(w.atWAN())
	got := walk()
	if text := steps(got); got.Fate.End != "forwarded" || got.Fate.Waits || got.Fate.Src.Addr != natAddr || !strings.Contains(text, "forward/in2out:held arrival/:continue prerouting/") {
		t.Error(text)
	}
}

func TestATraceTellsThatAHeldMessageWasDropped(t *testing.T) {
	w := newWorld(t)
	a, b := w.tunnel(client1, 0x1000), w.tunnel(client2, 0x2000)
	a.init()
	b.init()
	w.one(a.ask())
	a.reply()
	w.traced("second", "src host 192.0.2.12", 5)
	k := w.captured("src host 192.0.2.12", 1<<capture.Dropped)
	w.none(b.ask())
	w.wantDrop(drop.IKEFlushed, 1, w.unbind)
	walks := w.r.Traces().Each("second")
	if len(walks) != 1 || walks[0].Fate.End != "dropped" || walks[0].Fate.Reason != drop.IKEFlushed {
		t.Errorf("%+v", walks)
	}
	if got := taken(t, k); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestATraceTellsWhatTheCiphersDid(t *testing.T) {
	b := newTunnelBed(t, nil, nil)
	b.here.traced("out", "dst host "+far.String(), 5)
	b.there.traced("esp", "esp", 5)
	b.there.traced("inner", "dst port 9", 5)
	b.fromHere(udpTo(at(near, 9), at(far, 9), "first"))
	b.there.one(b.there.atLAN())
	b.fromHere(udpTo(at(near, 9), at(far, 9), "second"))
	b.there.one(b.there.atLAN())
	end := func(w *world, name string) (out []string) {
		for _, walk := range w.r.Traces().Each(name) {
			line := walk.Again + " " + walk.Fate.End + " " + walk.Fate.Selector
			if e := walk.Events[len(walk.Events)-1]; e.Hook == "tunnel" {
				line += ", " + e.Step + " " + e.Verdict
			}
			out = append(out, line)
		}
		return out
	}
	if got := end(b.here, "out"); len(got) != 2 || got[0] != " sealed S, seal consumed" || got[1] != got[0] { // the first one has waited
		t.Errorf("%q", got)
	}
	if got := end(b.there, "esp"); len(got) != 2 || got[1] != " opened S, open consumed" {
		t.Errorf("%q", got)
	}
	if got := end(b.there, "inner"); len(got) != 2 || got[1] != "opened forwarded " {
		t.Errorf("%q", got)
	}
	b.tamper = func(_ *world, p []byte) [][]byte {
		p[len(p)-1] ^= 1
		return [][]byte{p}
	}
	b.fromHere(udpTo(at(near, 9), at(far, 9), "third"))
	walks := b.there.r.Traces().Each("esp")
	if last := walks[len(walks)-1]; last.Fate.Reason != drop.ICV {
		t.Errorf("%+v", last.Fate)
	}
}

// traceOne explains, traces and sends a packet, and compares the three.
func (d *drawer) traceOne(t *testing.T, seen map[string]int) {
	b, outside := d.packet()
	d.id = d.id&0x7fff + 1 | 0x8000
	b = numbered(b, d.id)
	in := lanIf
	if outside {
		in = wanIf
	}
	x, err := d.w.r.Explain(Question{In: in, Packet: b})
	if err != nil {
		t.Fatal(err)
	}
	d.w.r.RemoveTrace("")
	d.w.traced("one", "", 1)
	h := d.try(b, outside, b)
	if h.forwarded != nil && h.spi == 0 {
		d.last, d.wan = h.forwarded, h.out == wanIf
	}
	walks := d.w.r.Traces().Each("one")
	if len(walks) != 1 {
		t.Fatalf("%d walks of one packet", len(walks))
	}
	w := &walks[0]
	if why := foretoldOtherwise(&x, w); why != "" {
		t.Errorf("%s\nexplained %+v\n%s\ntraced %+v\n%s", why, x.Fate, lines(x), w.Fate, steps(w))
	}
	seen[w.Fate.End]++
	if w.Fate.InFastPath {
		seen["fast"]++
	}
}

// foretoldOtherwise says how a walk is not what was explained, "" if it is.
func foretoldOtherwise(x *Explanation, w *trace.Walk) string {
	f := &w.Fate
	switch {
	case x.Fate.Depends:
		return ""
	case f.End != x.Fate.End.String():
		return "it ends otherwise"
	case f.Reason != x.Fate.Reason || f.Stack != x.Fate.Stack:
		return "it is dropped otherwise"
	case f.End != EndForwarded.String():
		return ""
	case f.Out != x.Fate.Out || f.Dst != x.Fate.Dst || x.Fate.Drawn == nil && f.Src != x.Fate.Src:
		return "it leaves otherwise"
	case f.Waits == x.Fate.Known || f.Next != x.Fate.Next:
		return "its neighbour is another"
	}
	return sayOtherwise(x, w)
}

// sayOtherwise compares the steps that say something.
func sayOtherwise(x *Explanation, w *trace.Walk) string {
	recorded := map[string]string{}
	for _, e := range w.Events {
		recorded[e.Hook+" "+e.Step] = e.Verdict
	}
	for i, f := range x.Findings {
		if i+1 < len(x.Findings) && x.Findings[i+1].Hook == f.Hook && x.Findings[i+1].Step == f.Step {
			continue // the last one has the verdict
		}
		if w.Fate.InFastPath != (f.Hook == "fast path") {
			continue
		}
		if v, ok := recorded[f.Hook+" "+f.Step]; f.Hook != "exit" && f.Hook != "fast path" && (!ok || v != f.Verdict.String()) {
			return "of " + f.Hook + " " + f.Step + " it says " + v
		}
	}
	return ""
}
