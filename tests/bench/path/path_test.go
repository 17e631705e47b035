package path

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
	"spigate/tests/bench/bed"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every way that needs nothing but this kernel passes what is sent on; its
// flows are where they are to be, and what arrived is counted.
func TestWhatIsSentOnEachWayArrives(t *testing.T) {
	var built netns.Build
	t.Cleanup(built.Remove)
	binary, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range Ways() {
		for _, proto := range []uint8{frame.ProtoESP, frame.ProtoUDP} {
			s := bed.Setup{
				Traffic: bed.Traffic{Proto: proto, Flows: 50, Length: 100}, Place: v.Places[i%len(v.Places)],
				Binary: binary, Dir: filepath.Join(t.TempDir(), "lane"),
			}
			t.Run(v.Name+", "+s.Traffic.String(), func(t *testing.T) {
				l, err := Open(t.Context(), v, s)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := l.Close(); err != nil {
						t.Error(err)
					}
				}()
				if err := l.Prepare(t.Context(), Draw(i%2)); err != nil {
					t.Fatal(err)
				}
				f, err := l.Flood(t.Context(), 50*time.Millisecond, 20_000)
				if err != nil || f.Arrived == 0 || f.Arrived > f.Offered*1.01 || f.Slow > 0.1 {
					t.Errorf("%+v: %v", f, err)
				}
				t.Logf("%+v", f)
			})
		}
	}
}
