package rabbitlab_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	rabbitlab "quarantine/integration/rabbitmq"
	"quarantine/internal/openstack"
)

// Over TLS the broker is checked: with the right authority messages flow,
// without it not even the password is sent.
func TestTLS(t *testing.T) {
	t.Parallel()
	certificate, key, authority := selfSigned(t)
	lab := rabbitlab.New(t, rabbitlab.Options{
		Config: []string{
			"listeners.ssl.1 = 127.0.0.1:{tls}",
			"ssl_options.cacertfile = {dir}/cert.pem",
			"ssl_options.certfile = {dir}/cert.pem",
			"ssl_options.keyfile = {dir}/key.pem",
		},
		Files: map[string][]byte{"cert.pem": certificate, "key.pem": key},
	})
	c := newCloud(t, lab)
	t.Run("trusted", func(t *testing.T) {
		s := served(t, c, func(cfg *openstack.ConsumerConfig, _ *service) {
			cfg.URLs = []string{lab.TLSURL()}
			cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authority}
		})
		rs := recordings(t, "volume-create-delete")
		c.publish(rs...)
		eventually(t, "messages flow", func() bool { return s.has(expected(t, rs)) })
	})
	t.Run("unknown authority", func(t *testing.T) {
		s := serve(t, c, func(cfg *openstack.ConsumerConfig, _ *service) { cfg.URLs = []string{lab.TLSURL()} })
		eventually(t, "it is refused", func() bool { return s.lines("certificate") > 0 })
		if s.Up() {
			t.Error("up")
		}
	})
}

// selfSigned makes a certificate for 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (certificate, key []byte, authority *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	authority = x509.NewCertPool()
	authority.AppendCertsFromPEM(certificate)
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), authority
}
