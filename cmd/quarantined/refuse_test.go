package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// A pass removes nothing, and says why, when the policy on disk cannot be read
// (the old one goes on deciding), the clock has jumped, or an operator has paused
// removals; a person's word on the clock, a good policy, or the end of the pause,
// lets it go on. A held disk stays throughout.
func TestCollectRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	for _, name := range []string{"vm-1_disk", "vm-2_disk"} {
		s.image(name)
		s.remove(name)
	}
	disks := p.wait(2, quarantine.Quarantined)
	held := disks[0].ID
	if _, err := p.Hold(t.Context(), held, wire.HoldRequest{CaseID: "CERT-1", Reason: "a case"}); err != nil {
		t.Fatal(err)
	}
	stopped := func(why string) {
		t.Helper()
		if rep := p.tryJob(quarantine.JobCollect); !strings.Contains(rep.Stopped, why) || len(rep.Items) != 0 {
			t.Errorf("the pass says %q and did %+v; want it stopped by %q", rep.Stopped, rep.Items, why)
		}
	}
	s.shiftClock(21 * day)
	if _, err := p.Pause(t.Context(), wire.PauseRequest{Reason: "an incident"}); err != nil {
		t.Fatal(err)
	}
	stopped("paused by carol")
	if st, err := p.Status(t.Context()); err != nil || st.Pause == nil || st.Pause.Reason != "an incident" {
		t.Errorf("the status has %+v, %v", st.Pause, err)
	}
	if err := p.Resume(t.Context(), wire.ReasonRequest{Reason: "it is over"}); err != nil {
		t.Fatal(err)
	}
	write(t, s.policyPath, "default: {retain: soon}\n")
	stopped("soon")
	p.shows("quarantine_policy_ok 0")
	s.image("vm-3_disk")
	s.remove("vm-3_disk")
	if d := p.wait(3, quarantine.Quarantined); !slices.ContainsFunc(d, func(d wire.Disk) bool { return d.OriginalName == "vm-3_disk" && d.Rule == "unexplained" }) {
		t.Errorf("the old policy does not decide: %+v", d)
	}
	write(t, s.policyPath, defaultPolicy)
	s.shiftClock(500 * day)
	stopped("clock")
	s.shiftClock(21 * day)
	p.job(quarantine.JobCollect)
	p.shows("quarantine_policy_ok 1")
	if d := p.wait(1, quarantine.Expiring)[0]; d.ID == held {
		t.Error("the held disk expires")
	}
	s.shiftClock(23 * day)
	p.job(quarantine.JobCollect)
	p.wait(1, quarantine.Purged)
	if d, err := p.Disk(t.Context(), held); err != nil || d.State != string(quarantine.Quarantined) {
		t.Errorf("the held disk is %s, %v", d.State, err)
	}
}

// A policy is tried over what the daemon has in quarantine, and its disks are kept
// as before.
func TestPolicySimulated(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	p := s.start()
	for _, name := range []string{"vm-1_disk", "vm-2_disk"} {
		s.image(name)
		s.remove(name)
	}
	before := p.wait(2, quarantine.Quarantined)
	s.shiftClock(2 * day)
	sim, err := p.Simulate(t.Context(), wire.SimulateRequest{Policies: []policy.File{{Name: "p.yaml", Text: "default: {retain: 1d}"}}, Changes: 10})
	if err != nil {
		t.Fatal(err)
	}
	last := sim.Points[len(sim.Points)-1]
	if sim.Disks != 2 || sim.Shorter != 2 || sim.Gone.Disks != 2 || len(sim.Changes) != 2 || last.Now.Disks != 2 || last.Then.Disks != 0 {
		t.Errorf("%d disks, gone %+v, changes %+v, at last %+v", sim.Disks, sim.Gone, sim.Changes, last)
	}
	for i, d := range p.wait(2, quarantine.Quarantined) {
		if !d.RetainUntil.Equal(before[i].RetainUntil) {
			t.Errorf("%s is kept until %s, and was until %s", d.ID, d.RetainUntil, before[i].RetainUntil)
		}
	}
	p.stop()
}

// shows checks that the metrics have the series with that value.
func (p *process) shows(series string) {
	p.t.Helper()
	resp, err := http.Get("http://" + p.addr + "/metrics")
	if err != nil {
		p.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), "\n"+series+"\n") {
		p.t.Errorf("the metrics do not have %s: %v", series, err)
	}
}

// With a certificate the API, health and metrics are served by TLS, and plain
// HTTP is not.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	roots := certificate(t, filepath.Join(s.dir, "tls.crt"), filepath.Join(s.dir, "tls.key"))
	s.configure("listen: 127.0.0.1:0\n", "listen: 127.0.0.1:0\ntls: {cert: "+s.dir+"/tls.crt, key: "+s.dir+"/tls.key}\n")
	p := s.launch()
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer secure.CloseIdleConnections()
	resp, err := secure.Get("https://" + p.addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(b), "quarantine_guard_ok") && !strings.Contains(string(b), "quarantine_custody_failures_total") {
		t.Errorf("metrics: %v\n%s", err, b)
	}
	if resp, err := http.Get("http://" + p.addr + "/healthz"); err == nil {
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Error("plain HTTP is served, too")
		}
	}
	p.stop()
}

// certificate writes a certificate for 127.0.0.1 that signs itself.
func certificate(t *testing.T, certPath, keyPath string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certPath, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, keyPath, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	roots := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(cert)
	return roots
}
