package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/anyid/anyid/internal/browse"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/stage"
	"github.com/anyid/anyid/internal/testserver"
	"github.com/anyid/anyid/pkg/npki"
)

// TestMain lets this test binary be the command anyid-demo too.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"anyid-demo": main})
}

// patience is how long the slowest machine may take for one step.
const patience = 60 * time.Second

// demo is an anyid-demo that is running.
type demo struct {
	t      *testing.T
	cmd    *exec.Cmd
	client *http.Client

	portal, phones, authorities, cloud, broker string // URLs
	introduced                                 string // what it said at its start
	rest                                       chan string
	stderr                                     bytes.Buffer
}

// freePorts are the flags for any free ports.
var freePorts = []string{"--listen=127.0.0.1:0", "--listen-qnet=127.0.0.1:0", "--listen-minwon=127.0.0.1:0", "--listen-phone=127.0.0.1:0",
	"--listen-ca=127.0.0.1:0", "--listen-fincert=127.0.0.1:0", "--listen-wallet=127.0.0.1:0", "--listen-agency=127.0.0.1:0",
	"--listen-inbox=127.0.0.1:0", "--listen-mail=127.0.0.1:0", "--listen-directory=127.0.0.1:0"}

// invoke returns an anyid-demo on free ports, unless the arguments say otherwise, in the folder.
func invoke(t *testing.T, folder string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("anyid-demo")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, slices.Concat(freePorts, args)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "TMPDIR="+folder)
	return cmd
}

// start starts the demo and waits until it has introduced itself.
func start(t *testing.T, folder string, client *http.Client, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, cmd: invoke(t, folder, args...), client: client, rest: make(chan string, 1)}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = &d.stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for !strings.Contains(d.introduced, "Ctrl-C stops everything.") {
		line, err := lines.ReadString('\n')
		if err != nil {
			_ = d.cmd.Wait()
			t.Fatalf("the demo ended: %s", &d.stderr)
		}
		d.introduced += line
	}
	go func() {
		rest, _ := io.ReadAll(lines)
		d.rest <- string(rest)
	}()
	for what, at := range map[string]*string{"민원마당": &d.portal, "the phones": &d.phones, "the certification authorities": &d.authorities, "the financial certificate": &d.cloud, `the broker \(issuer\)`: &d.broker} {
		m := regexp.MustCompile(`(?m)^  (https?://\S+) +` + what).FindStringSubmatch(d.introduced)
		if m == nil {
			t.Fatalf("no line for %s in:\n%s", what, d.introduced)
		}
		*at = m[1]
	}
	return d
}

// stop ends the demo as Ctrl-C does.
func (d *demo) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		d.t.Fatal(err)
	}
	if rest := <-d.rest; rest != "\nstopped\n" {
		d.t.Errorf("the demo's last words are %q", rest)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("the demo ended with %v\n%s", err, &d.stderr)
	}
	if d.stderr.Len() > 0 {
		d.t.Errorf("the demo complains:\n%s", &d.stderr)
	}
}

// login lets the person log in at the portal, whose phone answers by itself, and reports whether they
// had to register.
func (d *demo) login(p stage.Person) (registered bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	b, err := browse.New(d.client)
	if err != nil {
		d.t.Fatal(err)
	}
	step := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatalf("at %s: %v", b.URL(), err)
		}
	}
	step(b.Open(ctx, d.portal+"/"))
	step(b.Click(ctx, "anyid-login"))
	step(b.Click(ctx, "method-simple"))
	step(errors.Join(b.Check("provider-naver"), b.Fill("name", p.Name), b.Fill("birthdate", p.BirthDate), b.Fill("phone", p.Phone)))
	step(b.Click(ctx, "request-auth"))
	step(b.Click(ctx, "auth-complete"))
	if registered = b.Has("register"); registered {
		step(errors.Join(b.Check("agree-terms"), b.Check("agree-privacy"), b.Check("agree-unique-id")))
		step(b.Click(ctx, "register"))
	}
	if b.Has("consent-allow") {
		step(b.Click(ctx, "consent-allow"))
	}
	if !strings.HasPrefix(b.URL().String(), d.portal) || !b.Has("signed-in-name") {
		d.t.Fatalf("%s ended at %s", p.Name, b.URL())
	}
	return registered
}

// hasCertificates opens everybody's file as the demo has introduced it.
func (d *demo) hasCertificates() {
	d.t.Helper()
	rows := regexp.MustCompile(`(?m)^  (\d{6})-(\d{7})  (\S+) +(\d{6}|-) +(/.+)$`).FindAllStringSubmatch(d.introduced, -1)
	if len(rows) != len(stage.People()) {
		d.t.Fatalf("the demo introduces %d wallets:\n%s", len(rows), d.introduced)
	}
	for _, row := range rows {
		content, err := os.ReadFile(row[5] + ".p12")
		if err != nil {
			d.t.Error(err)
			continue
		}
		bundle, err := npki.ParsePFX(content, []byte(row[3]))
		if err != nil {
			d.t.Errorf("%s: %v", row[5], err)
			continue
		}
		pair, err := bundle.Signing()
		if err != nil {
			d.t.Fatal(err)
		}
		identity, err := pair.Certificate.Identity()
		if err != nil || identity.VID.Verify([]byte(row[1]+row[2]), pair.Key.R) != nil {
			d.t.Errorf("%s is not of the number beside it: %v", row[5], err)
		}
		if files, err := filepath.Glob(row[5] + "/NPKI/*/USER/*/signPri.key"); err != nil || len(files) == 0 {
			d.t.Errorf("%s has no keys (%v)", row[5], err)
		}
	}
}

func plain() *http.Client { return &http.Client{Timeout: patience} }

// twoPeople are somebody new and somebody registered.
func twoPeople(t *testing.T) (newcomer, known stage.Person) {
	t.Helper()
	for _, p := range stage.People() {
		switch {
		case p.Registered && known.Name == "":
			known = p
		case !p.Registered && p.Phone != "" && newcomer.Name == "":
			newcomer = p
		}
	}
	if newcomer.Name == "" || known.Name == "" {
		t.Fatal("the cast lacks somebody new or somebody registered")
	}
	return newcomer, known
}

func TestDataIsKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	newcomer, known := twoPeople(t)

	first := start(t, folder, plain(), "--data", "kept", "--auto-approve")
	if !strings.Contains(first.introduced, "Any-ID is running on SQLite.") || !strings.Contains(first.introduced, newcomer.Name) {
		t.Errorf("the demo says:\n%s", first.introduced)
	}
	if !first.login(newcomer) {
		t.Error("the newcomer did not have to register")
	}
	first.hasCertificates()
	first.stop()
	secrets, err := os.ReadFile(filepath.Join(folder, "kept", "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}

	// The command line opens the same stores with what lies beside them.
	found, err := config.Load(config.Options{File: filepath.Join(folder, "kept", "anyid.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(found.Data, "anyid.db")); err != nil || info.Size() == 0 || !bytes.Contains(secrets, []byte(string(found.Secrets.Sealing[0]))) {
		t.Errorf("anyid.yaml leads to %s (%v)", found.Data, err)
	}

	second := start(t, folder, plain(), "--data", "kept", "--auto-approve")
	if second.login(newcomer) {
		t.Error("the newcomer had to register twice")
	}
	if second.login(known) {
		t.Error("who was registered at the start had to register")
	}
	second.stop()
	if again, err := os.ReadFile(filepath.Join(folder, "kept", "secrets.json")); err != nil || !bytes.Equal(again, secrets) {
		t.Errorf("the secrets were not kept (%v)", err)
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	redis, _ := testserver.Redis(t)
	newcomer, _ := twoPeople(t)
	d := start(t, t.TempDir(), plain(), "--postgres", testserver.Postgres(t), "--redis", redis, "--auto-approve")
	if !strings.Contains(d.introduced, "Any-ID is running on PostgreSQL and Redis.") {
		t.Errorf("the demo says:\n%s", d.introduced)
	}
	if !d.login(newcomer) {
		t.Error("the newcomer did not have to register")
	}
	d.stop()
}

func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	start(t, folder, plain()).stop()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// TestSitesFile lets the example of docs/demo.md ask for logins.
func TestSitesFile(t *testing.T) {
	t.Parallel()
	example, err := filepath.Abs("../../configs/sites.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	client := plain()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	d := start(t, t.TempDir(), client, "--sites", example)
	for _, id := range []string{"conformance-1", "conformance-2", "conformance-post"} {
		request := url.Values{
			"client_id": {id}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
			"redirect_uri": {"https://localhost:8443/test/a/anyid/callback"},
		}
		response, err := client.Get(d.broker + "/authorize?" + request.Encode())
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if to := response.Header.Get("Location"); !strings.HasPrefix(to, "/login/") {
			t.Errorf("%s is led to %q with %s", id, to, response.Status)
		}
	}
	d.stop()
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key      crypto.Signer
		accepted []uint16
		refused  []uint16
	}{
		"ecdsa": {ec,
			[]uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
			[]uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}},
		"rsa": {rsaKey,
			[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
			[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			roots := certificate(t, folder, c.key)
			client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
			newcomer, _ := twoPeople(t)
			d := start(t, folder, client, "--tls-cert=cert.pem", "--tls-key=key.pem", "--auto-approve")
			if strings.Contains(d.introduced, "http://") {
				t.Errorf("not everything is https:\n%s", d.introduced)
			}
			if !d.login(newcomer) {
				t.Error("the newcomer did not have to register")
			}
			for _, address := range []string{d.broker, d.portal, d.phones, d.authorities, d.cloud} {
				for _, suite := range c.accepted {
					if err := handshake(t, address, roots, tls.VersionTLS12, suite); err != nil {
						t.Errorf("%s refuses %s: %v", address, tls.CipherSuiteName(suite), err)
					}
				}
				for _, suite := range c.refused {
					if handshake(t, address, roots, tls.VersionTLS12, suite) == nil {
						t.Errorf("%s accepts %s", address, tls.CipherSuiteName(suite))
					}
				}
				if err := handshake(t, address, roots, tls.VersionTLS13); err != nil {
					t.Errorf("%s refuses TLS 1.3: %v", address, err)
				}
				if handshake(t, address, roots, tls.VersionTLS11) == nil {
					t.Errorf("%s accepts TLS 1.1", address)
				}
			}
			d.stop()
		})
	}
}

// certificate writes a self-signed certificate for localhost as cert.pem and key.pem.
func certificate(t *testing.T, folder string, key crypto.Signer) *x509.CertPool {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(folder, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

// handshake connects with one version, and with the suites where the version lets the client choose.
func handshake(t *testing.T, address string, roots *x509.CertPool, version uint16, suites ...uint16) error {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := tls.Dial("tcp", u.Host, &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version, CipherSuites: suites})
	if err != nil {
		return err
	}
	return connection.Close()
}

// TestRefusals are starts that do not happen.
func TestRefusals(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	taken := listener.Addr().String()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":         {[]string{"--bogus"}, "unknown flag: --bogus"},
		"argument":             {[]string{"bogus"}, `unknown command "bogus"`},
		"certificate alone":    {[]string{"--tls-cert=cert.pem"}, "--tls-cert and --tls-key go together"},
		"no certificate":       {[]string{"--tls-cert=none.pem", "--tls-key=none.pem"}, "none.pem: no such file"},
		"no sites":             {[]string{"--sites=none.yaml"}, "none.yaml: no such file"},
		"faulty sites":         {[]string{"--sites=faulty.yaml"}, "redirect_uris: needs at least one"},
		"no people":            {[]string{"--demo-people=none.json"}, "none.json: no such file"},
		"faulty people":        {[]string{"--demo-people=faulty.json"}, `unknown field "nme"`},
		"issuer":               {[]string{"--issuer=here"}, `issuer "here" is no URL`},
		"everybody may listen": {[]string{"--listen=0.0.0.0:0"}, `"0.0.0.0:0" is not a loopback address`},
		"broker's port":        {[]string{"--listen=" + taken}, taken + " for the broker is taken"},
		"Q-Net's port":         {[]string{"--listen-qnet=" + taken}, taken + " for the qnet is taken"},
		"portal's port":        {[]string{"--listen-minwon=" + taken}, taken + " for the petition is taken"},
		"phones' port":         {[]string{"--listen-phone=" + taken}, taken + " for the phone is taken"},
		"authorities' port":    {[]string{"--listen-ca=" + taken}, taken + " for the ca is taken"},
		"cloud's port":         {[]string{"--listen-fincert=" + taken}, taken + " for the fincert is taken"},
		"wallets' port":        {[]string{"--listen-wallet=" + taken}, taken + " for the wallet is taken"},
		"agencies' port":       {[]string{"--listen-agency=" + taken}, taken + " for the agency is taken"},
		"inbox's port":         {[]string{"--listen-inbox=" + taken}, taken + " for the inbox is taken"},
		"mail server's port":   {[]string{"--listen-mail=" + taken}, taken + " for the mail is taken"},
		"directory's port":     {[]string{"--listen-directory=" + taken}, taken + " for the directory is taken"},
		"no authority":         {[]string{"--demo-people=nobody.json"}, `no authority of "nobody"`},
		"no database":          {[]string{"--postgres=postgres://nobody@127.0.0.1:1/none?connect_timeout=1"}, "connection refused"},
		"no redis":             {[]string{"--redis=127.0.0.1:1"}, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for file, text := range map[string]string{
				"faulty.yaml": "sites: [{client_id: x, client_name: 엑스}]", "faulty.json": `[{"nme": "x"}]`,
				"nobody.json": `[{"name": "홍길동", "birth_date": "1990-01-01", "gender": "male", "certificates": [{"authority": "nobody", "policy": "1.2.410.200005.1.1.4"}]}]`,
			} {
				if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := invoke(t, folder, c.args...)
			var out, complaint bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &complaint
			if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
				t.Fatalf("the demo ended with %v", err)
			}
			if said := complaint.String(); !strings.Contains(said, "anyid-demo: ") || !strings.Contains(said, c.want) || out.Len() > 0 {
				t.Errorf("the demo says %q and %q, want %q", out.String(), said, c.want)
			}
			if left, err := filepath.Glob(filepath.Join(folder, "anyid-demo-*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}
