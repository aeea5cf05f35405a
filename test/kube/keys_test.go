package kube

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keys are the files that a control plane's parties know each other by.
type keys struct {
	// ca has signed the two certificates below.
	ca string
	// server is that of kube-apiserver on the loopback interface.
	serverCert, serverKey string
	// admin may do everything.
	adminCert, adminKey string
	// tokens signs the tokens of ServiceAccounts.
	tokensKey, tokensPublic string
}

// makeKeys writes them into a folder.
func makeKeys(dir string) (keys, error) {
	k := keyMaker{dir: dir}
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	caKey := k.key("ca")
	k.sign("ca", ca, ca, caKey, caKey)

	serverKey, adminKey, tokensKey := k.key("server"), k.key("admin"), k.key("tokens")
	k.sign("server", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:    []string{"localhost"},
	}, ca, serverKey, caKey)
	k.sign("admin", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, adminKey, caKey)
	public := k.public("tokens", tokensKey)

	return keys{
		ca:         k.path("ca.crt"),
		serverCert: k.path("server.crt"), serverKey: k.path("server.key"),
		adminCert: k.path("admin.crt"), adminKey: k.path("admin.key"),
		tokensKey: k.path("tokens.key"), tokensPublic: public,
	}, k.err
}

// keyMaker does nothing any more after its first error.
type keyMaker struct {
	dir    string
	serial int64
	err    error
}

func (k *keyMaker) path(name string) string { return filepath.Join(k.dir, name) }

// key makes one and writes it to name.key.
func (k *keyMaker) key(name string) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.err = err
		return nil
	}
	der, err := x509.MarshalECPrivateKey(key)
	k.write(name+".key", "EC PRIVATE KEY", der, err)
	return key
}

// public writes a key's other half to name.pub and returns the path.
func (k *keyMaker) public(name string, key *ecdsa.PrivateKey) string {
	if k.err == nil {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		k.write(name+".pub", "PUBLIC KEY", der, err)
	}
	return k.path(name + ".pub")
}

// sign writes a certificate for key to name.crt.
func (k *keyMaker) sign(name string, cert, issuer *x509.Certificate, key, issuerKey *ecdsa.PrivateKey) {
	if k.err != nil {
		return
	}
	k.serial++
	cert.SerialNumber = big.NewInt(k.serial)
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, cert, issuer, key.Public(), crypto.Signer(issuerKey))
	k.write(name+".crt", "CERTIFICATE", der, err)
}

func (k *keyMaker) write(name, kind string, der []byte, err error) {
	if err == nil && k.err == nil {
		err = os.WriteFile(k.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	if k.err == nil {
		k.err = err
	}
}
