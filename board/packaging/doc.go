// Package packaging has no code: its folder holds what other systems need to run
// the router as a service, OpenWrt's procd and systemd, and its tests hold those
// files to what they promise. They run the service's script against a stub of
// rc.common, let systemd judge the unit, and play the router's main job with no
// other capabilities than the unit gives.
//
// Invariants: both services run "spigate run --state-dir", reload by SIGHUP,
// and have the same capabilities.
package packaging
