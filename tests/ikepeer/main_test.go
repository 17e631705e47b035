package ikepeer

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"spigate/tests/netns"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.Remove()
		os.Exit(code)
	}))
}

var built netns.Build
