package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// stores are where a broker of the benchmark keeps things.
type stores struct {
	name     string
	postgres string // DSN; empty: SQLite
	redis    string // host:port; empty: short-lived values in the SQL database
}

// broker is an installation of the service and its process.
type broker struct {
	stores
	binary  string
	serve   []string // the command that serves
	folder  string
	config  string // file
	host    string // host:port that it listens on
	secret  string // of the site
	process *exec.Cmd
	ended   chan error // receives how the process ended
	log     *bytes.Buffer
}

// configuration is that of an ordinary installation. Only what guards against floods is out of the way:
// a few hundred people log in here as often as a city does.
var configuration = template.Must(template.New("").Parse(`
issuer: http://{{.Host}}
listen: {{.Host}}
data: {{.Folder}}
storage:
{{- if .Stores.Postgres}}
  driver: postgres
  postgres: {dsn: {{printf "%q" .Stores.Postgres}}}
{{- else}}
  driver: sqlite
{{- end}}
{{- if .Stores.Redis}}
kv:
  driver: redis
  redis: {addresses: [{{printf "%q" .Stores.Redis}}]}
{{- end}}
secrets:
  sealing: ["bench:{{.Sealing}}"]
  ci_index: {{.CIIndex}}
  subject: {{.Subject}}
login: {pushes_per_phone: 100, push_window: 1s}
limits: {credential: 1000000}
simple:
  enabled: true
  auth_url: {{.Providers.URL}}
  api_url: {{.Providers.URL}}
  link_id: {{.Providers.LinkID}}
  secret_key: {{.Providers.SecretKey}}
  client_code: "{{.Providers.ClientCode}}"
  trusted_roots: {{.Roots}}
outbound: {allow: [127.0.0.0/8]}
log: {level: warn}
`))

// sites is the one relying site.
var sites = template.Must(template.New("").Parse(`
sites:
  - client_id: ` + siteID + `
    client_secret: {{.}}
    client_name: 성능 시험
    institution: {id: bench, name: 성능 시험 기관}
    redirect_uris: [` + callbackURL + `]
    require_pkce: true
    id_token_signed_response_alg: ES256
    scopes: [openid, profile]
    hand_over: {version: "1", purpose: 성능 시험, retention: 시험이 끝날 때까지}
`))

// install makes a broker's folder with its configuration and sites file. Nothing runs yet.
func install(folder string, s stores, binary string, p *providers) (*broker, error) {
	b := &broker{
		stores: s, binary: binary, serve: []string{binary, "serve"}, folder: folder,
		config: filepath.Join(folder, "anyid.yaml"), secret: rand.Text(), log: new(bytes.Buffer),
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var err error
	if b.host, err = freeAddress(); err != nil {
		return nil, err
	}
	roots := filepath.Join(folder, "roots.pem")
	var text, sitesText bytes.Buffer
	err = errors.Join(
		configuration.Execute(&text, map[string]any{
			"Host": b.host, "Folder": folder, "Stores": struct{ Postgres, Redis string }{s.postgres, s.redis},
			"Sealing": key(), "CIIndex": key(), "Subject": key(), "Providers": p, "Roots": roots,
		}),
		sites.Execute(&sitesText, b.secret),
		os.WriteFile(roots, p.Roots, 0o600),
		os.WriteFile(b.config, text.Bytes(), 0o600),
		os.WriteFile(filepath.Join(folder, "sites.yaml"), sitesText.Bytes(), 0o600),
	)
	if err != nil {
		return nil, fmt.Errorf("bench: install: %w", err)
	}
	return b, nil
}

func key() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// run runs a subcommand to its end and returns what it printed.
func (b *broker) run(ctx context.Context, arguments ...string) (string, error) {
	out, err := b.command(ctx, append([]string{b.binary}, arguments...)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("bench: %s: anyid %s: %w: %s", b.name, strings.Join(arguments, " "), err, out)
	}
	return string(out), nil
}

func (b *broker) command(ctx context.Context, words []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, words[0], append(words[1:len(words):len(words)], "--config", b.config)...) //nolint:gosec // the program to measure
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	for _, name := range []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG"} { // to try what they do
		if value, set := os.LookupEnv(name); set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// start starts the process, and returns how long it took from exec to the first answer.
func (b *broker) start(ctx context.Context) (time.Duration, error) {
	b.process = b.command(ctx, b.serve)
	b.process.Stdout, b.process.Stderr = b.log, b.log
	b.process.Cancel = func() error { return b.process.Process.Signal(syscall.SIGTERM) }
	begun := time.Now()
	if err := b.process.Start(); err != nil {
		b.process = nil
		return 0, fmt.Errorf("bench: %w", err)
	}
	b.ended = make(chan error, 1)
	go func(cmd *exec.Cmd) { b.ended <- cmd.Wait() }(b.process)
	for time.Since(begun) < timeout && len(b.ended) == 0 {
		if b.answers() {
			return time.Since(begun), nil
		}
		time.Sleep(200 * time.Microsecond)
	}
	return 0, errors.Join(fmt.Errorf("bench: %s: the service did not answer", b.name), b.stop())
}

// answers reports whether the service serves its metadata.
func (b *broker) answers() bool {
	conn, err := net.DialTimeout("tcp", b.host, timeout) //nolint:noctx // it has a timeout
	if err != nil {
		return false
	}
	defer conn.Close()
	status := make([]byte, len("HTTP/1.1 200"))
	_, err = io.WriteString(conn, "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: "+b.host+"\r\nConnection: close\r\n\r\n")
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(timeout))
	}
	if err == nil {
		_, err = io.ReadFull(conn, status)
	}
	return err == nil && string(status) == "HTTP/1.1 200"
}

// stop ends the process as a service manager does.
func (b *broker) stop() error {
	if b.process == nil {
		return nil
	}
	_ = b.process.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which is told below
	err := <-b.ended
	b.process = nil
	if err != nil {
		return fmt.Errorf("bench: %s: the service ended badly: %w: %.2000s", b.name, err, b.log)
	}
	return nil
}

func (b *broker) pid() int { return b.process.Process.Pid }
