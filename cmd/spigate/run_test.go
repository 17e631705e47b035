package main

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"spigate/configs"
)

func TestAReloadSaysWhatIsOddAboutTheNewConfiguration(t *testing.T) {
	dir := files(t)
	for _, tc := range []struct {
		file    string
		refused error
		want    []string
		not     string
	}{
		{"good.toml", nil, []string{"msg=reloaded"}, "WARN"},
		{"warned.toml", nil, []string{"warning: has no effect", "msg=reloaded"}, "still running"},
		{"warned.toml", errors.New("port: changed"), []string{"still running", "port: changed"}, "msg=reloaded"},
		{"bad.toml", nil, []string{"still running", "carrier-pigeon"}, "msg=reloaded"},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		reload(log, filepath.Join(dir, tc.file), func(*configs.Config) error { return tc.refused })
		for _, want := range tc.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", tc.file, want, out.String())
			}
		}
		if strings.Contains(out.String(), tc.not) {
			t.Errorf("%s: %q is in\n%s", tc.file, tc.not, out.String())
		}
	}
}
