package natlog

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestACollectorThatDoesNotReadBlocksNobody(t *testing.T) {
	conn := &stuckConn{fakeConn: newFakeConn(), writing: make(chan struct{}), closed: make(chan struct{})}
	other := newFakeConn()
	c := newClock()
	l, err := New(Config{
		Targets: []Target{
			{Name: "stuck", Address: "192.0.2.1:514", Network: "tcp", Detail: SessionDetail, Queue: 16},
			{Name: "fine", Address: "192.0.2.2:514", Format: FormatCompact, Detail: SessionDetail},
		},
		Now: c.now,
		Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
			if network == "tcp" {
				return conn, nil
			}
			return other, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, done := make(chan time.Time), make(chan error)
	go func() { done <- l.Run(ctx, ticks) }()
	l.Emit(*numbered(0))
	<-conn.writing
	for n := 1; n <= 1000; n++ {
		l.Emit(*numbered(n))
	}
	st := l.Stats()[0]
	if st.Queued != 17 || st.Lost != 984 {
		t.Errorf("the stuck target: %+v, want 17 queued and 984 lost", st)
	}
	for l.Stats()[1].Sent < 1001 {
		runtime.Gosched()
	}
	cancel()
	for range graceTicks {
		select {
		case <-done:
			t.Fatal("the end did not wait for the collector")
		case ticks <- time.Time{}:
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := len(other.messages()); got != 1001 {
		t.Errorf("the other target got %d of 1001 records", got)
	}
}

func TestWhoIsToldWhat(t *testing.T) {
	sessionEnd := sampleSession()
	sessionEnd.Kind = SessionDeleted
	for _, c := range []struct {
		name    string
		target  Target
		profile *Profile
		record  Record
		want    bool
	}{
		{"block detail has blocks", Target{}, nil, sampleBlock(), true},
		{"block detail has mappings", Target{}, nil, sampleMapping(), true},
		{"block detail has refusals", Target{}, nil, sampleQuota(), true},
		{"block detail has no sessions (RFC 6888 REQ-12)", Target{}, nil, sampleSession(), false},
		{"block detail has no ESP sessions", Target{}, nil, sampleESP(), false},
		{"session detail has sessions", Target{Detail: SessionDetail}, nil, sampleSession(), true},
		{"session detail has the end of sessions", Target{Detail: SessionDetail}, nil, sessionEnd, true},
		{"a log profile without logSessDeletion", Target{Detail: SessionDetail}, &Profile{}, sessionEnd, false},
		{"a log profile without it has the start", Target{Detail: SessionDetail}, &Profile{}, sampleSession(), true},
		{"a log profile with logSessDeletion", Target{Detail: SessionDetail}, &Profile{SessionDeletion: true}, sessionEnd, true},
		{"IPFIX of a group without log profile", Target{Protocol: IPFIX}, nil, sampleBlock(), true},
		{"IPFIX of a log profile without logIPFIX", Target{Protocol: IPFIX}, &Profile{}, sampleBlock(), false},
		{"IPFIX of a log profile with logIPFIX", Target{Protocol: IPFIX}, &Profile{IPFIX: true}, sampleBlock(), true},
		{"syslog of a log profile with logIPFIX", Target{}, &Profile{IPFIX: true}, sampleBlock(), true},
	} {
		c.record.Profile = c.profile
		if got := c.target.wants(&c.record); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestTargetsThatCannotBe(t *testing.T) {
	_, err := New(Config{Now: newClock().now, Targets: []Target{
		{Name: "a", Address: "192.0.2.1"},
		{Name: "b", Address: "192.0.2.1:514", Network: "sctp"},
		{Name: "b", Address: "192.0.2.1:514", Queue: 1, MessageSize: 100, Facility: 24, Host: "a b"},
		{Address: "192.0.2.1:514"},
	}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`"a": address: `, `"b": network "sctp" is neither udp nor tcp`, `"b": there are two`, `queue of 1 records`,
		`messages of 100 bytes`, `facility 24`, `host "a b"`, `"": has no name`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a log without a clock")
	}
}

func TestManyEmittersAtOnce(t *testing.T) {
	target, conn := compactUDP, newFakeConn()
	target.Detail = SessionDetail
	l, ticks, stop := start(t, target, conn)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for n := range 500 {
				l.Emit(*numbered(g*500 + n))
				if n%100 == 0 {
					ticks <- time.Time{}
					l.Stats()
				}
			}
		})
	}
	all.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats()[0]; st.Sent != 2000 || st.Lost != 0 || st.Queued != 0 {
		t.Errorf("%+v", st)
	}
}

func TestEmitAllocatesNothing(t *testing.T) {
	c := newClock()
	l, err := New(Config{Now: c.now, Targets: []Target{
		{Name: "a", Address: "192.0.2.1:514", Detail: SessionDetail}, {Name: "b", Address: "192.0.2.1:4739", Protocol: IPFIX, Queue: 4},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := sampleMapping()
	if n := testing.AllocsPerRun(1000, func() { l.Emit(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEmit(b *testing.B) {
	c := newClock()
	for _, full := range []bool{false, true} {
		name := map[bool]string{false: "room", true: "full"}[full]
		b.Run(name, func(b *testing.B) {
			l, err := New(Config{Now: c.now, Targets: []Target{{Name: "a", Address: "192.0.2.1:514"}}})
			if err != nil {
				b.Fatal(err)
			}
			r, spare := sampleMapping(), make([]Record, 0, DefaultQueue)
			for range DefaultQueue {
				if full {
					l.Emit(r)
				}
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if !full && n%DefaultQueue == DefaultQueue-1 {
					l.senders[0].queue.pop(spare, DefaultQueue)
				}
				l.Emit(r)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	batch := make([]Record, batchSize)
	for i := range batch {
		batch[i] = *numbered(i)
	}
	for name, e := range map[string]encoder{
		"long":    newSyslog(&Target{Network: "tcp", MessageSize: 1 << 16}),
		"compact": newSyslog(&Target{Network: "tcp", MessageSize: 1 << 16, Format: FormatCompact}),
		"ipfix":   testIPFIX(nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			now := time.Unix(0, testWall)
			for b.Loop() {
				for rest := batch; len(rest) > 0; {
					_, used := e.encode(rest, 1, now)
					rest = rest[used:]
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchSize, "ns/record")
		})
	}
}
