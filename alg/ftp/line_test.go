package ftp

import (
	"testing"

	"spigate/netstack/frame"
)

func endpoint(a, b, c, d byte, port uint16) frame.Endpoint {
	return frame.Endpoint{Addr: frame.Addr{a, b, c, d}, Port: port}
}

func TestLinesThatNameAnEndpoint(t *testing.T) {
	own := endpoint(192, 0, 2, 11, 40001)
	for _, tc := range []struct {
		line  string
		named frame.Endpoint // zero: none
		after string         // the line with 203.0.113.3:1025 in its place
	}{
		{"PORT 192,0,2,11,156,65", own, "PORT 203,0,113,3,4,1"},
		{"port 192,0,2,11,156,65", own, "port 203,0,113,3,4,1"},
		{"PORT 192,000,2,11,156,065 ", own, "PORT 203,0,113,3,4,1 "},
		{"PORT 192,0,2,11,156", frame.Endpoint{}, ""},
		{"PORT 192,0,2,11,156,65,1", frame.Endpoint{}, ""},
		{"PORT 192,0,2,11,156,256", frame.Endpoint{}, ""},
		{"PORT 192,0,2,11,,65", frame.Endpoint{}, ""},
		{"PORT  192,0,2,11,156,65", frame.Endpoint{}, ""},
		{"PORT 192,0,2,11,156,65 192,0,2,12,1,1", frame.Endpoint{}, ""},
		{"PORT", frame.Endpoint{}, ""},
		{"PORT ", frame.Endpoint{}, ""},
		{"XPORT 192,0,2,11,156,65", frame.Endpoint{}, ""},
		{"EPRT |1|192.0.2.11|40001|", own, "EPRT |1|203.0.113.3|1025|"},
		{"eprt !1!192.0.2.11!40001!", own, "eprt !1!203.0.113.3!1025!"},
		{"EPRT |2|2001:db8::1|40001|", frame.Endpoint{}, ""},
		{"EPRT |1|192.0.2.11|65536|", frame.Endpoint{}, ""},
		{"EPRT |1|192.0.2|40001|", frame.Endpoint{}, ""},
		{"EPRT |1|192.0.2.11.9|40001|", frame.Endpoint{}, ""},
		{"EPRT |1|192.0.2.11|40001", frame.Endpoint{}, ""},
		{"EPRT |1|192.0.2.11|40001|x", frame.Endpoint{}, ""},
		{"EPRT .1.192.0.2.11.40001.", frame.Endpoint{}, ""},
		{"EPRT ", frame.Endpoint{}, ""},
		{"STOR PORT 192,0,2,11,156,65", frame.Endpoint{}, ""},
		{"227 Entering Passive Mode (192,0,2,11,156,65).", frame.Endpoint{}, ""}, // a client does not say that
	} {
		check(t, tc.line, parseCommand, tc.named, tc.after)
	}
	for _, tc := range []struct {
		line  string
		named frame.Endpoint
		after string
	}{
		{"227 Entering Passive Mode (192,0,2,11,156,65).", own, "227 Entering Passive Mode (203,0,113,3,4,1)."},
		{"227 Entering Passive Mode. 192,0,2,11,156,65", own, "227 Entering Passive Mode. 203,0,113,3,4,1"},
		{"227 =192,0,2,11,156,65", own, "227 =203,0,113,3,4,1"},
		{"227-Entering Passive Mode (192,0,2,11,156,65)", frame.Endpoint{}, ""},
		{"227 Entering Passive Mode", frame.Endpoint{}, ""},
		{"227 Mode 7 (192,0,2,11,156,65)", frame.Endpoint{}, ""}, // which numbers is not ours to guess
		{"229 Entering Extended Passive Mode (|||40001|)", endpoint(0, 0, 0, 0, 40001), "229 Entering Extended Passive Mode (|||1025|)"},
		{"229 ok (!!!40001!) go", endpoint(0, 0, 0, 0, 40001), "229 ok (!!!1025!) go"},
		{"229 Entering Extended Passive Mode (|||40001)", frame.Endpoint{}, ""},
		{"229 Entering Extended Passive Mode (||40001|)", frame.Endpoint{}, ""},
		{"229 Entering Extended Passive Mode (|||70000|)", frame.Endpoint{}, ""},
		{"229 (|||", frame.Endpoint{}, ""},
		{"229 ", frame.Endpoint{}, ""},
		{"PORT 192,0,2,11,156,65", frame.Endpoint{}, ""}, // a server does not say that
	} {
		check(t, tc.line, parseReply, tc.named, tc.after)
	}
}

func check(t *testing.T, line string, parse func([]byte) (announcement, bool), named frame.Endpoint, after string) {
	t.Helper()
	a, ok := parse([]byte(line))
	if !ok {
		a = announcement{}
	}
	if a.named != named {
		t.Errorf("%q names %v, want %v", line, a.named, named)
		return
	}
	if !ok {
		return
	}
	if got := line[:a.at] + string(a.text(nil, endpoint(203, 0, 113, 3, 1025))) + line[a.end:]; got != after {
		t.Errorf("%q becomes %q, want %q", line, got, after)
	}
}

func TestTheLongestEndpointHasRoom(t *testing.T) {
	for _, f := range []form{commas, bars, portOnly} {
		a := announcement{form: f, bar: '|'}
		if n := len(a.text(nil, endpoint(255, 255, 255, 255, 65535))); n > maxText {
			t.Errorf("form %d: %d bytes", f, n)
		}
	}
}

// What a line names, it names again when it is written anew.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"PORT 192,0,2,11,156,65", "EPRT |1|192.0.2.11|40001|", "EPRT |2|::1|1|", "port 1,2,3,4,5,6  ",
		"227 Entering Passive Mode (192,0,2,11,156,65).", "229 Entering Extended Passive Mode (|||40001|)", "227 ,,,,,", "229 ((((",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, parse := range []func([]byte) (announcement, bool){parseCommand, parseReply} {
			a, ok := parse(line)
			if !ok {
				continue
			}
			if a.at < 4 || a.end <= a.at || a.end > len(line) || a.end-a.at > 255 {
				t.Fatalf("%q: at %d to %d", line, a.at, a.end)
			}
			anew := append(append(append([]byte{}, line[:a.at]...), a.text(nil, a.named)...), line[a.end:]...)
			b, ok := parse(anew)
			if !ok || b.named != a.named || b.form != a.form {
				t.Fatalf("%q names %v, written anew %q names %v", line, a.named, anew, b.named)
			}
		}
	})
}
