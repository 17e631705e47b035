// Package monitoring holds what goes with /metrics: alert rules for Prometheus
// and a dashboard for Grafana. It has no code; its test holds the files to what
// the router really says.
package monitoring
