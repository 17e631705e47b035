package configs

// IPsecMode is how a policy protects (table 2.4).
type IPsecMode uint8

// The modes. Interface is tunnel mode on the wire; which packets it is for is
// said by routes (VR30).
const (
	ModeTransport IPsecMode = iota
	ModeTunnel
	ModeInterface
)

func ipsecModeWords() []word[IPsecMode] {
	return []word[IPsecMode]{{ModeTransport, "transport", nil}, {ModeTunnel, "tunnel", nil}, {ModeInterface, "interface", nil}}
}

// String returns transport, tunnel or interface.
func (m IPsecMode) String() string { return spell(ipsecModeWords(), m) }

// SelectorDirection is for which packets a selector counts.
type SelectorDirection uint8

// The directions.
const (
	DirectionBoth SelectorDirection = iota
	DirectionOut
	DirectionIn
)

func directionWords() []word[SelectorDirection] {
	return []word[SelectorDirection]{{DirectionBoth, "both", nil}, {DirectionOut, "out", nil}, {DirectionIn, "in", nil}}
}

// String returns both, out or in.
func (d SelectorDirection) String() string { return spell(directionWords(), d) }

// SelectorAction is what a selector does with packets that it matches (VR29).
type SelectorAction uint8

// The actions.
const (
	ActionProtect SelectorAction = iota
	ActionBypass
	ActionDiscard
)

func actionWords() []word[SelectorAction] {
	return []word[SelectorAction]{{ActionProtect, "protect", nil}, {ActionBypass, "bypass", nil}, {ActionDiscard, "discard", nil}}
}

// String returns protect, bypass or discard.
func (a SelectorAction) String() string { return spell(actionWords(), a) }

// IKEAuth is how peers prove who they are. Both ends do it the same way.
type IKEAuth uint8

// The ways.
const (
	AuthPSK IKEAuth = iota
	AuthCertificate
)

func ikeAuthWords() []word[IKEAuth] {
	return []word[IKEAuth]{
		{AuthPSK, "pre-shared-key", []string{"psk"}},
		{AuthCertificate, "certificate", []string{"rsa-signature", "ecdsa-256", "ecdsa-384", "ecdsa-521"}},
	}
}

// String returns pre-shared-key or certificate.
func (a IKEAuth) String() string { return spell(ikeAuthWords(), a) }

// NATTraversal says what is done about NATs between the peers. It has nothing
// to do with NATs of packets inside the tunnel (VR37).
type NATTraversal uint8

// The choices: ESP goes into UDP if there is a NAT, never, always.
const (
	NATTraversalOn NATTraversal = iota
	NATTraversalOff
	NATTraversalForce
)

func natTraversalWords() []word[NATTraversal] {
	return []word[NATTraversal]{{NATTraversalOn, "on", nil}, {NATTraversalOff, "off", nil}, {NATTraversalForce, "force", nil}}
}

// String returns on, off or force.
func (n NATTraversal) String() string { return spell(natTraversalWords(), n) }

// Cipher is an encryption algorithm with the length of its key.
type Cipher uint8

// The ciphers. Those with GCM authenticate, too. CipherNull is for ESP alone.
const (
	CipherAESGCM128 Cipher = iota + 1
	CipherAESGCM192
	CipherAESGCM256
	CipherAES128 // CBC, as the two after it
	CipherAES192
	CipherAES256
	CipherNull
)

func ikeCipherWords() []word[Cipher] {
	return []word[Cipher]{
		{CipherAESGCM128, "aes-gcm128", nil}, {CipherAESGCM192, "aes-gcm192", nil}, {CipherAESGCM256, "aes-gcm256", nil},
		{CipherAES128, "aes128", []string{"aes"}}, {CipherAES192, "aes192", nil}, {CipherAES256, "aes256", nil},
	}
}

func espCipherWords() []word[Cipher] {
	return append(ikeCipherWords(), word[Cipher]{CipherNull, "null", nil})
}

// manualCipherWords are those that may be used with keys that do not change.
func manualCipherWords() []word[Cipher] { return espCipherWords()[3:] }

// String returns the word of the file.
func (c Cipher) String() string { return spell(espCipherWords(), c) }

// Authenticates reports whether the cipher needs no hash besides.
func (c Cipher) Authenticates() bool { return c >= CipherAESGCM128 && c <= CipherAESGCM256 }

// keyLen is how many octets a manual key has.
func (c Cipher) keyLen() int { return [...]int{0, 16, 24, 32, 16, 24, 32, 0}[c] }

// Hash is a function of SHA-2: as HMAC it authenticates, and it makes keys.
type Hash uint8

// The hashes.
const (
	SHA256 Hash = iota + 1
	SHA384
	SHA512
)

func hashWords() []word[Hash] {
	return []word[Hash]{{SHA256, "sha256", nil}, {SHA384, "sha384", nil}, {SHA512, "sha512", nil}}
}

// String returns the word of the file.
func (h Hash) String() string { return spell(hashWords(), h) }

// keyLen is that of the hash, in octets.
func (h Hash) keyLen() int { return [...]int{0, 32, 48, 64}[h] }

// DHGroup is a Diffie-Hellman group.
type DHGroup uint8

// The groups. GroupNone is for ESP alone: no perfect forward secrecy.
const (
	GroupNone DHGroup = iota
	GroupMODP2048
	GroupMODP3072
	GroupMODP4096
	GroupECP256
	GroupECP384
	GroupX25519
)

func ikeGroupWords() []word[DHGroup] {
	return []word[DHGroup]{
		{GroupX25519, "x25519", nil}, {GroupECP256, "ecp256", nil}, {GroupECP384, "ecp384", nil},
		{GroupMODP2048, "modp2048", nil}, {GroupMODP3072, "modp3072", nil}, {GroupMODP4096, "modp4096", nil},
	}
}

func espGroupWords() []word[DHGroup] {
	return append(ikeGroupWords(), word[DHGroup]{GroupNone, "none", nil})
}

// String returns the word of the file.
func (g DHGroup) String() string { return spell(espGroupWords(), g) }
