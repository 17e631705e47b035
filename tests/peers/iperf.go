package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"spigate/tests/netns"
)

// Stream is what iperf3 tells of a TCP connection when it has come to its end.
type Stream struct {
	Bytes       uint64 // that came
	Retransmits int
	Stalled     int // whole seconds in which nothing was sent
}

// iperfJSON is the part of iperf3's report that is read here.
type iperfJSON struct {
	Error     string `json:"error"`
	Intervals []struct {
		Sum struct {
			Bytes uint64 `json:"bytes"`
		} `json:"sum"`
	} `json:"intervals"`
	End struct {
		Sent struct {
			Retransmits int `json:"retransmits"`
		} `json:"sum_sent"`
		Received struct {
			Bytes uint64 `json:"bytes"`
		} `json:"sum_received"`
	} `json:"end"`
}

func parseIperf(out string) (Stream, error) {
	var r iperfJSON
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return Stream{}, fmt.Errorf("iperf3: %w: %s", err, tail(out, 400))
	}
	if r.Error != "" {
		return Stream{}, errors.New("iperf3: " + r.Error)
	}
	s := Stream{Bytes: r.End.Received.Bytes, Retransmits: r.End.Sent.Retransmits}
	for _, i := range r.Intervals {
		if i.Sum.Bytes == 0 {
			s.Stalled++
		}
	}
	return s, nil
}

// amount is a stream's length: so many bytes, or so long. Vain: nobody is
// expected to let it in.
type amount struct {
	Bytes int
	For   time.Duration
	Vain  bool
}

// iperfClient are the arguments of a client: 2 Mbit/s is what an emulated
// machine does beside everything else.
func iperfClient(from, to netip.Addr, port int, a amount) []string {
	wait := 8 * time.Second
	if a.Vain {
		wait = 2500 * time.Millisecond
	}
	args := []string{"-c", to.String(), "-B", from.String(), "-p", fmt.Sprint(port), "-J", "--connect-timeout", fmt.Sprint(wait.Milliseconds()), "-b", "2M", "-l", "8K"}
	if a.For > 0 {
		return append(args, "-t", fmt.Sprint(seconds(a.For)))
	}
	return append(args, "-n", fmt.Sprint(a.Bytes))
}

// iperfServer are the arguments of a server for one client.
func iperfServer(at netip.Addr, port int) []string {
	return []string{"-s", "-1", "-B", at.String(), "-p", fmt.Sprint(port), "--forceflush"}
}

// port gives each stream one of its own: a server that has just served is not
// ready for the next one at once.
func (e *Ending) port() int { return int(5200 + e.ports.Add(1)) }

// out lets the host behind spigate send to the one behind the far end; to is
// under which address it knows that one.
func (e *Ending) out(ctx context.Context, to netip.Addr, a amount) (Stream, error) {
	port := e.port()
	_, err := e.VM.Exec(ctx, e.Far.Host.Name, fmt.Sprintf("setsid iperf3 %s >/run/iperf%d.log 2>&1 </dev/null & %s",
		strings.Join(iperfServer(e.farHost, port), " "), port, waitFor(fmt.Sprintf("grep -q listening /run/iperf%d.log", port))))
	if err != nil {
		return Stream{}, err
	}
	out, err := e.Near.host.Run(ctx, "", "iperf3", iperfClient(e.nearHost, to, port, a)...)
	s, perr := parseIperf(out)
	if perr != nil || err != nil {
		return s, fmt.Errorf("%v to %v: %w", e.nearHost, to, errors.Join(perr, err))
	}
	return s, nil
}

// in is the other way.
func (e *Ending) in(ctx context.Context, a amount) (Stream, error) {
	port := e.port()
	server, err := e.Near.host.Start(netns.Command{Path: "iperf3", Args: iperfServer(e.nearHost, port)})
	if err != nil {
		return Stream{}, err
	}
	defer server.Stop()
	if _, err := server.WaitLine(ctx, func(line string) bool { return strings.Contains(line, "listening") }); err != nil {
		return Stream{}, err
	}
	out, err := e.VM.Exec(ctx, e.Far.Host.Name, "iperf3 "+strings.Join(iperfClient(e.farHost, e.nearHost, port, a), " ")+"; true")
	if err != nil {
		return Stream{}, err
	}
	s, err := parseIperf(out)
	if err != nil {
		return s, fmt.Errorf("%v to %v: %w", e.farHost, e.nearHost, err)
	}
	return s, nil
}
