package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// routerBinary is the router's program.
type routerBinary struct {
	data     []byte
	info     *buildinfo.BuildInfo
	revision string // of the version control; with "+changed" if files were; "" if there is none
	epoch    int64  // seconds since 1970: the time of all that has one
}

// buildScript builds the product, for whomever.
const buildScript = "cmd/spigate/build.sh"

// compile builds the router for ARMv7. Neither the path of the sources nor the
// user gets into the file; the revision does, so that a router can say what it
// is. Flags that somebody set for Go are not heeded.
func compile(ctx context.Context, temp string) (*routerBinary, error) {
	file := filepath.Join(temp, "spigate")
	cmd := exec.CommandContext(ctx, "sh", buildScript, file)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7", "GOFLAGS=-buildvcs="+stamping(ctx))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", buildScript, err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file); err != nil {
		return nil, err
	}
	return readBinary(data, os.Getenv("SOURCE_DATE_EPOCH"))
}

// stamping says whether Go shall ask git for the revision: where git refuses to
// answer, as it does in a folder of somebody else's, Go would refuse to build.
func stamping(ctx context.Context) string {
	if exec.CommandContext(ctx, "git", "status", "--porcelain").Run() != nil {
		return "false"
	}
	return "auto"
}

// readBinary takes from the file what it says about itself. The image's time
// is epoch if that is set, otherwise that of the revision, otherwise 0.
func readBinary(data []byte, epoch string) (*routerBinary, error) {
	info, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("build information: %w", err)
	}
	b := &routerBinary{data: data, info: info}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.revision = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		case "vcs.time":
			t, err := time.Parse(time.RFC3339, s.Value)
			if err != nil {
				return nil, fmt.Errorf("time of the revision: %w", err)
			}
			b.epoch = t.Unix()
		}
	}
	if changed {
		b.revision += "+changed"
	}
	if epoch != "" {
		if b.epoch, err = strconv.ParseInt(epoch, 10, 64); err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
	}
	if b.epoch < 0 || b.epoch > 1<<32-1 {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %d is no time that a flash can have", b.epoch)
	}
	return b, nil
}
