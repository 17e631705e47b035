package wire

import "spigate/cmd/internal/web"

// openWeb makes the server of the web pages and listens, if there is to be one.
func (d *Daemon) openWeb() error {
	c := d.config
	if c.Control.HTTP == "" {
		return nil
	}
	server, err := web.New(web.Config{
		Address: c.Control.HTTP, Backend: d.views, Editor: d.views, Web: c.Web, StateDir: c.System.StateDir, Hostname: c.System.Hostname,
		Extra: d.monitors, Log: d.log,
	})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil {
		return err
	}
	d.web = server
	return nil
}

func (d *Daemon) closeWeb() {
	if d.web != nil {
		d.web.Close()
	}
}
