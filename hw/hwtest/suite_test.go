package hwtest_test

import (
	"testing"

	"spigate/hw"
	"spigate/hw/hwtest"
)

func TestTheFakeChipPasses(t *testing.T) {
	hwtest.Run(t, hwtest.Options{
		Open:    func(testing.TB) hw.Chip { return hwtest.NewFake(hwtest.Small()) },
		Again:   func(_ testing.TB, c hw.Chip) hw.Chip { return c.(*hwtest.Fake).Reopen() },
		SetLink: func(c hw.Chip, port string, up bool) { c.(*hwtest.Fake).SetLink(port, up) },
		Draws:   500,
	})
}

func TestAFakeChipThatNotifiesAndIsWatchedClosely(t *testing.T) {
	hwtest.Run(t, hwtest.Options{
		Open:    func(testing.TB) hw.Chip { return hwtest.Notifying{Fake: hwtest.NewFake(hwtest.Small())} },
		SetLink: func(c hw.Chip, port string, up bool) { c.(hwtest.Notifying).SetLink(port, up) },
		Observe: func(c hw.Chip, step func(string, hwtest.Reach)) {
			f := c.(hwtest.Notifying)
			f.Observe(func(op string) { step(op, f.Reach()) })
		},
	})
}

func TestAChipWithOnePortAndAnotherWithOddLimits(t *testing.T) {
	for _, c := range []hw.Capabilities{
		{Driver: "fake", Chip: "one port", Ports: []hw.Port{{Name: "lan1"}, {Name: "up", CPU: true}}},
		{Driver: "fake", Chip: "odd", LeastID: 3, VLANs: 3, MaxMTU: 1450, Ports: []hw.Port{{Name: "a"}, {Name: "b"}, {Name: "c", CPU: true}}},
	} {
		hwtest.Run(t, hwtest.Options{Open: func(testing.TB) hw.Chip { return hwtest.NewFake(c) }, Draws: 50})
	}
}
