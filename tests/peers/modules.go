package peers

import "strings"

// kernelModules lists the modules that the guest loads at boot; those that
// they depend on come by themselves. What crypto users ask for by algorithm
// must stand here: nothing is loaded later.
func kernelModules() []string {
	return strings.Fields(`
		virtio_pci virtio_net virtio_console virtio_rng
		esp4 xfrm_user af_key xfrm_algo dummy
		cryptomgr cbc ecb ctr gcm ccm cmac xcbc hmac sha1_generic sha256_generic sha512_generic aes_generic
		authenc authencesn echainiv seqiv des_generic md5 ghash-generic crypto_null
		sha3_generic jitterentropy_rng drbg`)
}
