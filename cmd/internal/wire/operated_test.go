package wire

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// operated is a real router of the shipped example behind a real socket, as an
// operator has it: questions go through the client, to the tables and back.
type operated struct {
	t      testing.TB
	views  *views
	router *netstack.Router
	config *configs.Config
	client *control.Client
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	// One NAT address, so that two subscribers of one server compete.
	return operatedBy(t, strings.Replace(configs.IPsecPassthrough(), `"203.0.113.3-203.0.113.9"`, `"203.0.113.3"`, 1)+
		"\n[lsn.appsprofile.UNUSED]\nprotocol = \"TCP\"\n")
}

func operatedBy(t testing.TB, text string) *operated {
	t.Helper()
	c, _, err := configs.Parse("example.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var drivers []link.Driver
	for i := range c.Ports {
		near, _ := link.NewPair(frame.MAC{2, 0, 0, 0, 0, byte(i)}, frame.MAC{2, 0, 0, 0, 1, byte(i)}, 1500)
		drivers = append(drivers, near)
	}
	shared, routers := chassisConfig(c, drivers)
	shared.Log = slog.New(slog.DiscardHandler)
	ch, err := netstack.NewChassis(shared, routers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ch.Close)
	v := newViews(c)
	v.start(ch)
	return &operated{t, v, ch.Router(0), c, served(t, v)}
}

// served puts v behind a socket.
func served(t testing.TB, v *views) *control.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "wire") // a test's own folder is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	s := control.New(v, nil)
	if err := s.Listen(socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		os.RemoveAll(dir)
	})
	return control.NewClient(socket)
}
