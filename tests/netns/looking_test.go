package netns

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/capture"
	"spigate/netstack/drop"
)

// What an operator sees of live packets: a capture file that tshark reads, and a
// trace that tells the fast path from the slow one.

// tsharkFields has tshark print fields of each packet of a file, a line each, and
// what it finds wrong with them.
func tsharkFields(t *testing.T, file string, fields ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{"-r", file, "-n", "-T", "fields", "-E", "separator=|", "-e", "_ws.malformed"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(ctx, "tshark", args...)
	cmd.WaitDelay = time.Second
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("tshark, the independent reader of captures, is not installed: sh tests/deps.sh gets it")
	}
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, talk.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestACaptureIsReadByTshark(t *testing.T) {
	s := site(t)
	d := router(t, s)
	ctx := deadline(t)
	if err := reach(s, 1); err != nil { // ARP is done
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "c.pcapng")
	// A question and its answer pass four points each.
	cmd := exec.CommandContext(ctx, d.Made.Binary, "capture", "--filter", "udp port 7", "--count", "8", "-w", file, "--socket", d.Socket)
	cmd.WaitDelay = time.Second
	var talk bytes.Buffer
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := Poll(ctx, 50*time.Millisecond, func() bool {
		select {
		case err := <-ended:
			ended <- err
			return true
		default:
			return reach(s, 1) != nil // until it has what it wants
		}
	})
	if err = errors.Join(err, <-ended); err != nil || !strings.Contains(talk.String(), "8 packets captured\n") {
		t.Fatalf("%v: %s", err, talk.String())
	}
	rows := tsharkFields(t, file, "frame.interface_name", "ip.src", "udp.dstport")
	if len(rows) != 8 {
		t.Fatalf("%d packets:\n%s", len(rows), strings.Join(rows, "\n"))
	}
	for _, want := range []string{
		"|received inside|" + Client1.String() + "|7", "|before inside|" + Client1.String() + "|7",
		"|after outside|" + NATAddress.String() + "|7", "|sent outside|" + NATAddress.String() + "|7",
	} {
		if !slices.Contains(rows, want) {
			t.Errorf("there is no %q in\n%s", want, strings.Join(rows, "\n"))
		}
	}
}

func TestATraceShowsTheWayOfLivePackets(t *testing.T) {
	s := site(t)
	d := router(t, s)
	ctx := deadline(t)
	if err := reach(s, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Command(ctx, "trace", "add", "--match", "udp dst port 7", "--count", "3"); err != nil {
		t.Fatal(err)
	}
	if err := reach(s, 3); err != nil {
		t.Fatal(err)
	}
	text, err := d.Command(ctx, "trace", "show")
	if err != nil || !strings.Contains(text, "the fast path forwards it by itself, with the source "+NATAddress.String()) || !strings.Contains(text, "forwarded on ") {
		t.Errorf("%v\n%s", err, text)
	}
	t.Log("\n" + text)
}

func TestTsharkReadsEveryPointAndWhyAPacketWasDropped(t *testing.T) {
	g := capture.Pcapng{Application: "spigate", Epoch: 1_790_000_000_000_000_000, Name: func(*capture.Record) string { return "wan" }}
	packet := inUDP([]byte("text"), 40001)
	framed := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, packet...)
	b := g.Begin(nil)
	for p := range capture.NumPoints {
		r := capture.Record{At: int64(p), Point: p, In: 1, Len: len(packet), Data: packet}
		if p == capture.Received || p == capture.Sent {
			r.Frame, r.VLAN, r.Len, r.Data = true, 30, len(framed), framed
		}
		if p == capture.Dropped {
			r.Reason = drop.NoMapping
		}
		b = g.Record(b, &r)
	}
	b = g.End(b, capture.Stats{Of: map[capture.Source]capture.Counts{{Point: capture.Dropped, Interface: 1}: {Taken: 1, Lost: 7}}}, 9)
	file := filepath.Join(t.TempDir(), "c.pcapng")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got := tsharkFields(t, file, "frame.interface_name", "vlan.id", "ip.dst", "udp.dstport", "frame.comment", "frame.time_epoch")
	why := "no_mapping: " + drop.NoMapping.Info().Means
	want := []string{
		"|received wan|30|198.18.0.2|40001||1790000000.000000000", "|before wan||198.18.0.2|40001||1790000000.000000001", "|after wan||198.18.0.2|40001||1790000000.000000002",
		"|sent wan|30|198.18.0.2|40001||1790000000.000000003", "|dropped wan||198.18.0.2|40001|" + why + "|1790000000.000000004",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
