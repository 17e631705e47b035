// Package peers proves spigate with real IKE daemons and the kernel's ESP.
package peers
